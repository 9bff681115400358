//! `annex-keep.toml`: text to checked values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use annex_protocol::uuid::Uuid;
use serde::Deserialize;

use super::user::Role;
use super::{RepoName, SiteError};

mod edit;
mod initial;
mod keep;
mod limits;
mod listen;
mod node_external;
mod node_keep;
mod node_local;
mod node_p2p;
mod node_s3;
mod query;
mod upkeep;

pub(super) use edit::{edit, edited};
pub(super) use initial::initial;
pub use keep::{Keep, KeepVolume};
pub use limits::{Limits, UserLimits};
pub use listen::{Address, Http, Ssh, Tls};
pub use node_external::{External, Secret};
pub use node_keep::{ArvadosSpec, KeepHttpSpec, KeepServersSpec};
pub use node_local::{AnnexSpec, DirectorySpec};
pub use node_p2p::{HttpSpec, P2pSpec, PasswordSource, SshSpec};
pub use node_s3::{KeepS3Spec, S3Spec};
pub use upkeep::{Repair, Scrub, Surplus};

/// The configuration's file name in the site directory.
pub const FILE: &str = "annex-keep.toml";

/// The default cost of fetching from a node.
const DEFAULT_COST: u32 = 100;

/// A site's configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The nodes, by name.
    pub nodes: BTreeMap<String, NodeConfig>,
    /// What happens to a key that no node wants.
    pub unwanted: Unwanted,
    /// What somebody without a name may do in repositories that say nothing else: [`Role::None`] or [`Role::Read`].
    pub anonymous: Role,
    /// The role from which on a first push makes a repository.
    pub create: Role,
    /// Only keys whose backend has a cryptographically secure hash are stored.
    pub secure_hashes_only: bool,
    /// The ssh door.
    pub ssh: Ssh,
    /// The HTTP door.
    pub http: Http,
    /// How Keep's own clients are served.
    pub keep: Keep,
    /// How much of the gateway one may use at once.
    pub limits: Limits,
    /// The PostgreSQL database of the catalogue, if that is not a file of the site.
    pub database: Option<String>,
    /// How copies are brought to where they should be.
    pub repair: Repair,
    /// How copies are read again.
    pub scrub: Scrub,
}

/// One node of a site.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// What the node's UUIDs are made from; never changes, whatever the node is called.
    pub id: uuid::Uuid,
    /// Where the node keeps content.
    pub store: NodeSpec,
    /// The only repository that it serves; without one, it serves all.
    pub repo: Option<RepoName>,
    /// The UUID that it has of its own, if it is itself a git-annex repository.
    pub uuid: Option<Uuid>,
    /// What it costs to fetch from it, as git-annex counts: the cheapest node that has a key is asked first.
    pub cost: u32,
    /// It is to become empty: nothing new goes there, and what it has counts as missing elsewhere.
    pub drain: bool,
    /// Whether the daemon reads its copies again.
    pub scrub: bool,
    /// How many seconds a key that the node was seen to have counts as present without asking: only for nodes that
    /// nobody but this site changes.
    pub known_seconds: Option<u64>,
    /// Bytes that stay free on its disk; `None`: the default of its kind.
    pub reserve: Option<u64>,
    /// The most bytes that it should hold.
    pub max_size: Option<u64>,
    /// What Keep's own clients see of it, if it is a Keep store.
    pub keep: KeepVolume,
}

/// Where a node keeps content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeSpec {
    /// A Keep store in a directory; a relative one stands in the site directory.
    Keep(PathBuf),
    /// A Keep store in a bucket.
    KeepS3(KeepS3Spec),
    /// Keep services, with an index of this site.
    KeepHttp(KeepHttpSpec),
    /// An Arvados cluster.
    Arvados(ArvadosSpec),
    /// A git-annex repository on this machine.
    Annex(AnnexSpec),
    /// A directory in the layout of git-annex's directory special remote.
    Directory(DirectorySpec),
    /// A git-annex repository, or another gateway, that is reached by the P2P protocol.
    P2p {
        /// How it is reached.
        server: P2pSpec,
        /// The gateway that it is reached through, if that is not the node itself.
        gateway: Option<Uuid>,
    },
    /// A program that is an external special remote.
    External(External),
    /// A bucket in the layout of git-annex's S3 special remote.
    S3(S3Spec),
}

/// What happens to a key that no node wants by its preferred content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unwanted {
    /// It is stored on as many nodes as numcopies asks for, in balanced order.
    #[default]
    Numcopies,
    /// It is stored on every node, as git-annex's own cluster does.
    All,
    /// It is refused.
    Refuse,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    database: String,
    #[serde(default)]
    nodes: BTreeMap<String, RawNode>,
    #[serde(default)]
    defaults: RawDefaults,
    #[serde(default)]
    ssh: listen::RawSsh,
    #[serde(default)]
    http: listen::RawHttp,
    #[serde(default)]
    keep: keep::RawKeep,
    #[serde(default)]
    limits: limits::RawLimits,
    #[serde(default)]
    repair: upkeep::RawRepair,
    #[serde(default)]
    scrub: upkeep::RawScrub,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNode {
    id: uuid::Uuid,
    store: String,
    repo: Option<String>,
    uuid: Option<String>,
    cost: Option<u32>,
    #[serde(default)]
    drain: bool,
    scrub: Option<bool>,
    known_seconds: Option<u64>,
    reserve: Option<limits::Size>,
    maxsize: Option<limits::Size>,
    #[serde(default)]
    keep: Option<keep::RawVolume>,
    gateway: Option<String>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    password_env: Option<String>,
    ca_file: Option<PathBuf>,
    #[serde(flatten)]
    external: node_external::RawExternal,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawDefaults {
    unwanted: Unwanted,
    anonymous: Option<String>,
    create: Option<String>,
    securehashesonly: bool,
}

impl Config {
    /// Reads the configuration of the site in `root`.
    pub(super) fn read(root: &Path) -> Result<Self, SiteError> {
        let path = root.join(FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text).map_err(|cause| SiteError::Config { path, cause }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(SiteError::Missing(root.into())),
            Err(source) => Err(SiteError::File { path, source }),
        }
    }

    /// Reads the text of a configuration file; the error says what is wrong and on which line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let raw: Raw = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut nodes = BTreeMap::new();
        for (name, node) in raw.nodes {
            check_node_name(&name)?;
            let node = node.check().map_err(|cause| format!("node {name}: {cause}"))?;
            nodes.insert(name, node);
        }
        if nodes.is_empty() {
            return Err("there is no node: a site needs at least one [nodes.NAME]".to_owned());
        }
        let defaults = raw.defaults;
        let anonymous = defaults.anonymous.map_or(Ok(Role::None), |text| anonymous(&text))?;
        let create =
            defaults.create.map_or(Ok(Role::Write), |text| text.parse().map_err(|e| format!("create: {e}")))?;
        Ok(Self {
            nodes,
            unwanted: defaults.unwanted,
            anonymous,
            create,
            secure_hashes_only: defaults.securehashesonly,
            ssh: raw.ssh.check()?,
            http: raw.http.check()?,
            keep: raw.keep.check()?,
            limits: raw.limits.check()?,
            database: database(raw.database)?,
            repair: raw.repair.check()?,
            scrub: raw.scrub.check()?,
        })
    }
}

impl RawNode {
    fn check(self) -> Result<NodeConfig, String> {
        let repo = self.repo.map(|name| RepoName::parse(name.as_bytes()).map_err(|error| error.to_string()));
        let Self { user, password_file, password_env, ca_file, .. } = self;
        let access = node_p2p::RawAccess { user, password_file, password_env, ca_file };
        let gateway = self.gateway.as_deref().map(node_p2p::gateway).transpose()?;
        let uuid = self.uuid.map(|text| Uuid::parse(text.as_bytes()).ok_or(format!("uuid: \"{text}\" is no UUID")));
        let served = self.keep.is_some();
        let store = self.external.complete(NodeSpec::parse(&self.store)?.with(access, gateway)?)?;
        let node = NodeConfig {
            id: self.id,
            // Copies on nodes over a network, where reading may cost money, are scrubbed only if the configuration asks
            // for it.
            scrub: self.scrub.unwrap_or(!is_far(&store)),
            store,
            repo: repo.transpose()?,
            uuid: uuid.transpose()?,
            cost: self.cost.unwrap_or(DEFAULT_COST),
            drain: self.drain,
            known_seconds: self.known_seconds.filter(|seconds| *seconds > 0),
            reserve: limits::bytes("reserve", self.reserve)?,
            max_size: limits::bytes("maxsize", self.maxsize)?,
            keep: self.keep.unwrap_or_default().check()?,
        };
        if served && !matches!(node.store, NodeSpec::Keep(_) | NodeSpec::KeepS3(_)) {
            return Err("only Keep stores are served to Keep's clients: leave keep out".to_owned());
        }
        if node.known_seconds.is_some() && !is_far(&node.store) {
            return Err("known_seconds is for nodes over a network or behind a program: this one is asked as quickly"
                .to_owned());
        }
        match node.store {
            NodeSpec::Keep(_) | NodeSpec::Directory(_) => {}
            _ if node.reserve.is_none() => {}
            NodeSpec::Annex(_) => return Err("reserve: annex.diskreserve of the repository says that".to_owned()),
            _ => return Err("reserve is for nodes on this machine's disks: keep:, directory:".to_owned()),
        }
        if matches!(node.store, NodeSpec::External(_)) && node.repo.is_none() {
            return Err("a special remote knows no repositories, so it can serve only one: set repo".to_owned());
        }
        if node.uuid.is_some() && node.repo.is_none() {
            return Err("a node with a UUID of its own belongs to one repository: set repo".to_owned());
        }
        if matches!(node.store, NodeSpec::Annex(_)) && node.uuid.is_none() {
            return Err("a git-annex repository is known by its own UUID: set uuid to its annex.uuid".to_owned());
        }
        // Its files do not say which repository they belong to: two repositories would take each other's content for
        // their own.
        if matches!(node.store, NodeSpec::Directory(_)) && node.repo.is_none() {
            return Err("a directory special remote belongs to one repository: set repo".to_owned());
        }
        if matches!(node.store, NodeSpec::S3(_)) && node.repo.is_none() {
            return Err("an S3 special remote belongs to one repository: set repo".to_owned());
        }
        if node.uuid.is_none() && matches!(node.store, NodeSpec::P2p { .. }) {
            return Err("a git-annex repository as a node has a UUID of its own: set uuid and repo".to_owned());
        }
        Ok(node)
    }
}

impl NodeConfig {
    /// Returns the bytes that stay free besides what the store keeps free by itself: a Keep store does all of it.
    pub fn reserve_beside_store(&self) -> u64 {
        match self.store {
            NodeSpec::Keep(_) => 0,
            _ => self.reserve.unwrap_or_default(),
        }
    }
}

/// Tells whether a node is reached over a network, or by a program that may do so.
fn is_far(store: &NodeSpec) -> bool {
    !matches!(store, NodeSpec::Keep(_) | NodeSpec::Annex(_) | NodeSpec::Directory(_))
}

impl NodeSpec {
    /// Tells whether content is on this machine's disks, so that its room can be looked at.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Keep(_) | Self::Annex(_) | Self::Directory(_))
    }

    /// Parses a node spec: `keep:PATH` or just a path, `keep+s3://BUCKET/PREFIX?…`, `keep+http(s)://HOST,…?…`,
    /// `arvados://HOST?…`, `annex:PATH`, `directory:PATH?chunk=SIZE`, `external:TYPE?…`, `s3://BUCKET/PREFIX?…`, `ssh://HOST/PATH`, `command:PROGRAM ARGS`, `annex+http(s)://…`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(server) = P2pSpec::parse(text) {
            return Ok(Self::P2p { server: server?, gateway: None });
        }
        let path = match text.split_once(':') {
            Some(("keep", path)) => path,
            Some(("annex", path)) => return AnnexSpec::parse(path).map(Self::Annex),
            Some(("directory", text)) => return DirectorySpec::parse(text).map(Self::Directory),
            Some(("external", rest)) => return External::parse(rest).map(Self::External),
            Some(("keep+s3", rest)) => return KeepS3Spec::parse(rest.trim_start_matches('/')).map(Self::KeepS3),
            Some((kind @ ("keep+http" | "keep+https"), rest)) => {
                let scheme = kind.trim_start_matches("keep+");
                return KeepHttpSpec::parse(scheme, rest.trim_start_matches('/')).map(Self::KeepHttp);
            }
            Some(("arvados", rest)) => return ArvadosSpec::parse(rest.trim_start_matches('/')).map(Self::Arvados),
            Some(("s3", rest)) => return S3Spec::parse(rest.trim_start_matches('/')).map(Self::S3),
            Some((kind, _)) if !kind.contains('/') => {
                return Err(format!(
                    "this version has no nodes of kind \"{kind}\"; it has keep:PATH, keep+s3://, keep+http(s)://, \
                     arvados://, annex:PATH, directory:PATH, external:TYPE, s3://, ssh://, command: and annex+http(s)://"
                ));
            }
            _ => text,
        };
        if path.is_empty() {
            return Err(format!("\"{text}\" names no directory"));
        }
        Ok(Self::Keep(path.into()))
    }

    /// Adds what the node's section says besides.
    fn with(self, access: node_p2p::RawAccess, gateway: Option<Uuid>) -> Result<Self, String> {
        match self {
            Self::P2p { server, .. } => Ok(Self::P2p { server: server.with(access)?, gateway }),
            other if access.is_none() && gateway.is_none() => Ok(other),
            _ => Err("gateway, user, password_file, password_env and ca_file are for nodes reached by P2P".to_owned()),
        }
    }

    /// Adds the secrets that stand beside a spec, if its kind asks for any.
    pub fn with_secrets(self, secrets: BTreeMap<String, Secret>) -> Result<Self, String> {
        match self {
            Self::S3(spec) => spec.with(secrets).map(Self::S3),
            Self::KeepS3(spec) => spec.with(secrets).map(Self::KeepS3),
            Self::KeepHttp(KeepHttpSpec { addresses, index, servers }) => {
                Ok(Self::KeepHttp(KeepHttpSpec { servers: servers.with(secrets)?, addresses, index }))
            }
            Self::Arvados(spec) => {
                Ok(Self::Arvados(ArvadosSpec { servers: spec.servers.clone().with(secrets)?, ..spec }))
            }
            Self::External(external) => Ok(Self::External(External { secrets, ..external })),
            other if secrets.is_empty() => Ok(other),
            _ => Err("secrets are for nodes external:TYPE, on S3 and on Keep servers".to_owned()),
        }
    }

    /// Returns the spec with a relative path made absolute by `base`.
    pub fn absolute(&self, base: &Path) -> Self {
        match self {
            Self::Keep(path) => Self::Keep(base.join(path)),
            Self::KeepS3(spec) => Self::KeepS3(spec.absolute(base)),
            Self::KeepHttp(spec) => Self::KeepHttp(spec.absolute(base)),
            Self::Arvados(spec) => Self::Arvados(spec.absolute(base)),
            Self::Annex(spec) => Self::Annex(spec.absolute(base)),
            Self::Directory(spec) => Self::Directory(spec.absolute(base)),
            Self::P2p { server, gateway } => Self::P2p { server: server.absolute(base), gateway: gateway.clone() },
            Self::External(external) => Self::External(external.absolute(base)),
            Self::S3(spec) => Self::S3(spec.absolute(base)),
        }
    }
}

impl std::fmt::Display for NodeSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Keep(path) => write!(f, "keep:{}", path.display()),
            Self::KeepS3(spec) => spec.fmt(f),
            Self::KeepHttp(spec) => spec.fmt(f),
            Self::Arvados(spec) => spec.fmt(f),
            Self::Annex(spec) => spec.fmt(f),
            Self::Directory(spec) => spec.fmt(f),
            Self::P2p { server, .. } => server.fmt(f),
            Self::External(external) => write!(f, "external:{external}"),
            Self::S3(spec) => spec.fmt(f),
        }
    }
}

/// Reads the address of a database; what is wrong is not repeated, since it may hold a password.
fn database(url: String) -> Result<Option<String>, String> {
    match url.as_str() {
        "" => Ok(None),
        known if known.starts_with("postgres://") || known.starts_with("postgresql://") => Ok(Some(url)),
        _ => Err("database: this should be empty or begin with postgres://".to_owned()),
    }
}

/// Reads what somebody without a name may do: `none` or `read`.
pub(super) fn anonymous(text: &str) -> Result<Role, String> {
    match text.parse() {
        Ok(role @ (Role::None | Role::Read)) => Ok(role),
        _ => Err(format!("anonymous: \"{text}\" should be \"none\" or \"read\"")),
    }
}

/// Node names become git remote names (`origin-NAME`) and words of the git-annex branch.
pub(super) fn check_node_name(name: &str) -> Result<(), String> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if name.is_empty() || name.starts_with('-') || !name.bytes().all(legal) {
        return Err(format!("\"{name}\" is not a node name: use letters, digits, '_' and '-'"));
    }
    if name == "cluster" {
        return Err("a node cannot be called \"cluster\": clients call the whole cluster that".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_initial_text_is_a_configuration() {
        let nodes = [("a".to_owned(), "keep:nodes/a".to_owned()), ("b".to_owned(), "/disk \"2\"/keep".to_owned())];
        let config = Config::parse(&initial(&nodes).unwrap()).unwrap();
        assert_eq!(config.nodes["a"].store, NodeSpec::Keep("nodes/a".into()));
        assert_eq!(config.nodes["b"].store, NodeSpec::Keep("/disk \"2\"/keep".into()));
        assert_eq!(config.unwanted, Unwanted::Numcopies);
    }

    #[test]
    fn a_node_has_a_reserve_where_its_room_is_known_and_a_size_anywhere() {
        let node = |lines: &str| {
            let text = format!("[nodes.a]\nid = \"59a5eba9-ef36-4fc5-b11d-effc1bd2effc\"\n{lines}\n");
            Config::parse(&text).map(|config| config.nodes["a"].clone())
        };
        let keep = node("store = \"keep:/a\"\nreserve = \"2 GB\"\nmaxsize = 5").unwrap();
        assert_eq!((keep.reserve, keep.max_size), (Some(2_000_000_000), Some(5)));
        let external = "store = \"external:x\"\nrepo = \"data\"\n";
        assert_eq!(node(&format!("{external}maxsize = \"1 TB\"")).unwrap().max_size, Some(1_000_000_000_000));
        assert!(node(&format!("{external}reserve = 1")).unwrap_err().contains("reserve"));
        let annex = "store = \"annex:/r\"\nrepo = \"data\"\nuuid = \"59a5eba9-ef36-4fc5-b11d-effc1bd2effc\"\n";
        assert!(node(&format!("{annex}reserve = 1")).unwrap_err().contains("annex.diskreserve"));
        assert!(node("store = \"keep:/a\"\nmaxsize = \"much\"").unwrap_err().contains("node a: maxsize"));
    }

    #[test]
    fn errors_name_the_place() {
        let error = Config::parse("[nodes.a]\nid = \"x\"\nstore = \"keep:/a\"\n").unwrap_err();
        assert!(error.contains("line 2"), "{error}");
        let error = Config::parse("[nodes.a]\nid = \"59a5eba9-ef36-4fc5-b11d-effc1bd2effc\"\nstore = \"tape:x\"\n");
        assert!(error.unwrap_err().contains("node a: this version has no nodes of kind \"tape\""));
        assert!(Config::parse("").unwrap_err().contains("at least one"));
        assert!(initial(&[("cluster".to_owned(), "/x".to_owned())]).is_err());
        assert!(initial(&[("a".to_owned(), "/x".to_owned()), ("a".to_owned(), "/y".to_owned())]).is_err());
    }
}
