//! Hosted repositories: bare git repositories that are cluster gateways from their first moment.
//!
//! Source: `docs/decisions/cluster-identity.md`.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annex_gateway::branch::{Branch, BranchError};
use annex_gateway::gateway::{ErrorKind, HasKind, Identity};
use annex_gateway::git::{Git, GitError};
use annex_gateway::node::NodeSpec;
use annex_gateway::site::{RepoName, Site, SiteError};
use annex_protocol::log::{ClusterNodes, Description, FieldLog, Preferred, Proxied, ProxiedRemotes};
use annex_protocol::uuid::Uuid;

/// A hosted repository, opened.
pub struct Repo {
    /// Its name in the site.
    pub name: RepoName,
    /// Its git repository.
    pub git: Git,
    /// Its git-annex branch.
    pub branch: Branch,
    /// Its UUIDs.
    pub identity: Identity,
    /// Its nodes.
    pub nodes: Vec<RepoNode>,
}

/// A node of the site, as this repository knows it.
pub struct RepoNode {
    /// The node's name.
    pub name: String,
    /// The node's UUID in this repository.
    pub uuid: Uuid,
    /// Where it keeps content, relative paths made absolute.
    pub store: NodeSpec,
    /// What it costs to fetch from it.
    pub cost: u32,
    /// It is to become empty.
    pub draining: bool,
}

/// What is wrong with a hosted repository.
#[derive(Debug, thiserror::Error)]
pub enum RepoError {
    /// The site has no repository of this name.
    #[error("there is no repository {0} here")]
    Missing(RepoName),
    /// The site has a repository of this name already.
    #[error("there is a repository {0} already")]
    Exists(RepoName),
    /// The repository was not made by annex-keep, or its configuration was changed.
    #[error("{}: {cause}", dir.display())]
    Damaged {
        /// The git directory.
        dir: PathBuf,
        /// What is missing.
        cause: String,
    },
    /// The site failed.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The git-annex branch failed.
    #[error(transparent)]
    Branch(#[from] BranchError),
    /// A file could not be written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl HasKind for RepoError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing(_) => ErrorKind::Absent,
            Self::Exists(_) => ErrorKind::Conflict,
            Self::Damaged { .. } => ErrorKind::Internal,
            Self::Site(error) => error.kind(),
            Self::Git(error) => error.kind(),
            Self::Branch(error) => error.kind(),
            Self::File { source, .. } => ErrorKind::of_own_file(source),
        }
    }
}

/// The git configuration that holds the cluster's UUID.
pub const CLUSTER_UUID: &str = "annex-keep.cluster";

/// The name of the cluster among its own nodes.
const CLUSTER_NAME: &str = "cluster";

impl Repo {
    /// Makes an empty repository, with UUIDs and nodes on its git-annex branch.
    ///
    /// It is made beside its place and moved there when complete.
    pub fn create(site: &Site, name: &RepoName) -> Result<Self, RepoError> {
        let dir = site.repo_dir(name);
        if dir.exists() {
            return Err(RepoError::Exists(name.clone()));
        }
        let parent = dir.parent().unwrap_or(site.root());
        let file_error = |path: &Path| {
            let path = path.to_path_buf();
            move |source| RepoError::File { path, source }
        };
        std::fs::create_dir_all(parent).map_err(file_error(parent))?;
        let making = parent.join(format!(".making-{}", uuid::Uuid::new_v4()));
        let made = Self::fill(site, name, &making).and_then(|()| match std::fs::rename(&making, &dir) {
            Err(_) if dir.exists() => Err(RepoError::Exists(name.clone())),
            done => done.map_err(file_error(&dir)),
        });
        if made.is_err() {
            let _ = std::fs::remove_dir_all(&making);
        }
        made?;
        Self::open(site, name)
    }

    fn fill(site: &Site, name: &RepoName, dir: &Path) -> Result<(), RepoError> {
        let git = Git::init_bare(dir)?;
        let gateway = uuid::Uuid::new_v4().to_string();
        let cluster = Uuid::parse(uuid::Uuid::new_v4().to_string().as_bytes()).and_then(|uuid| uuid.to_cluster());
        let cluster = cluster.map(|uuid| uuid.to_string()).unwrap_or_default();
        git.set_config(&[
            ("annex.uuid", &gateway),
            ("annex.version", "10"),
            (CLUSTER_UUID, &cluster),
            ("receive.procReceiveRefs", "refs/heads/git-annex"),
        ])?;
        git.add_config("receive.procReceiveRefs", "refs/heads/synced/git-annex")?;
        Self::open_dir(site, name, Git::open(dir)?)?.advertise()
    }

    /// Opens a repository.
    pub fn open(site: &Site, name: &RepoName) -> Result<Self, RepoError> {
        let dir = site.repo_dir(name);
        if !dir.is_dir() {
            return Err(RepoError::Missing(name.clone()));
        }
        Self::open_dir(site, name, Git::open(&dir)?)
    }

    fn open_dir(site: &Site, name: &RepoName, git: Git) -> Result<Self, RepoError> {
        let setting = |name: &str| {
            let value = git.config(name).and_then(|text| Uuid::parse(text.as_bytes()));
            value.ok_or_else(|| RepoError::Damaged {
                dir: git.dir().into(),
                cause: format!("its git configuration has no {name}"),
            })
        };
        let identity = Identity { gateway: setting("annex.uuid")?, cluster: setting(CLUSTER_UUID)? };
        let of_another = |only: &RepoName| only != name;
        let configured = site.config().nodes.iter();
        let nodes = configured.filter(|(_, node)| !node.repo.as_ref().is_some_and(of_another));
        let nodes = nodes.map(|(name, node)| RepoNode {
            name: name.clone(),
            uuid: node.uuid.clone().unwrap_or_else(|| node_uuid(node.id, &identity.gateway)),
            store: node.store.absolute(site.root()),
            cost: node.cost,
            draining: node.drain,
        });
        let mut nodes: Vec<RepoNode> = nodes.collect();
        nodes.sort_by_key(|node| node.cost);
        let branch = Branch::open(git.clone(), Arc::clone(site.clock()))?;
        Ok(Self { name: name.clone(), git, branch, identity, nodes })
    }

    /// Puts the hooks in place that merge pushes of the git-annex branch and refuse what a pusher may not do: links to
    /// this program.
    pub fn install_hooks(&self) -> Result<(), RepoError> {
        ["proc-receive", "update"].into_iter().try_for_each(|name| self.install_hook(name))
    }

    fn install_hook(&self, name: &str) -> Result<(), RepoError> {
        let hooks = self.git.dir().join("hooks");
        let hook = hooks.join(name);
        let fail = |source| RepoError::File { path: hook.clone(), source };
        let program = std::env::current_exe().map_err(fail)?;
        if std::fs::read_link(&hook).is_ok_and(|target| target == program) {
            return Ok(());
        }
        std::fs::create_dir_all(&hooks).map_err(fail)?;
        let fresh = hooks.join(format!(".{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&fresh);
        symlink(&program, &fresh).and_then(|()| std::fs::rename(&fresh, &hook)).map_err(fail)
    }

    /// Records gateway, cluster and nodes on the git-annex branch, so that clients see them. Writes only what changed.
    pub fn advertise(&self) -> Result<(), RepoError> {
        let now = self.branch.now();
        let Identity { gateway, cluster } = &self.identity;
        let node_uuids = self.nodes.iter().map(|node| node.uuid.clone()).collect();
        let named = self.nodes.iter().map(|node| (&node.uuid, node.name.as_str()));
        let named = named.chain([(cluster, CLUSTER_NAME)]);
        let proxied = named.filter_map(|(uuid, name)| Proxied::new(uuid.clone(), name.as_bytes()));
        let proxied = ProxiedRemotes(proxied.collect());
        let nodes = ClusterNodes(node_uuids);
        let paths = ["uuid.log", "proxy.log", "cluster.log", "preferred-content.log"].map(|path| path.into());
        self.branch.change(&paths, |path, content| match path {
            b"uuid.log" => {
                let mut log = FieldLog::<Description>::parse(content);
                let named = self.nodes.iter().map(|node| (&node.uuid, format!("node {}", node.name)));
                let all = [(gateway, "gateway".to_owned()), (cluster, "cluster".to_owned())].into_iter().chain(named);
                // A name that somebody gave stays.
                let mut changed = false;
                for (uuid, description) in all {
                    if log.value(uuid).is_none() {
                        changed |= log.set(uuid.clone(), Description(description.into()), now);
                    }
                }
                changed.then(|| log.write())
            }
            b"proxy.log" => {
                let mut log = FieldLog::<ProxiedRemotes>::parse(content);
                let by_gateway = log.set(gateway.clone(), proxied.clone(), now);
                let by_cluster = log.set(cluster.clone(), proxied.clone(), now);
                (by_gateway || by_cluster).then(|| log.write())
            }
            b"cluster.log" => {
                let mut log = FieldLog::<ClusterNodes>::parse(content);
                log.set(cluster.clone(), nodes.clone(), now).then(|| log.write())
            }
            _ => {
                // The gateway's own repository holds no content, so nobody should send any.
                let mut log = FieldLog::<Preferred>::parse(content);
                let unset = log.value(gateway).is_none();
                (unset && log.set(gateway.clone(), Preferred("nothing".into()), now)).then(|| log.write())
            }
        })?;
        Ok(self.branch.commit()?)
    }
}

/// Returns a node's UUID in a repository: always the same for the same two, different for each two.
fn node_uuid(node: uuid::Uuid, gateway: &Uuid) -> Uuid {
    let derived = uuid::Uuid::new_v5(&node, gateway.as_bytes()).to_string();
    Uuid::parse(derived.as_bytes()).unwrap_or_else(|| gateway.clone())
}
