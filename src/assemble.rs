//! Configuration to running parts: the only place that names every kind of node.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use annex_gateway::database::postgres::Postgres;
use annex_gateway::database::sqlite::Sqlite;
use annex_gateway::database::{Database, DatabaseError};
use annex_gateway::gateway::{Gateway, Identity, Member, Terms};
use annex_gateway::node::annex::AnnexNode;
use annex_gateway::node::directory::DirectoryNode;
use annex_gateway::node::external::{self, ExternalNode, Times};
use annex_gateway::node::keep::KeepNode;
use annex_gateway::node::measured::Meters;
use annex_gateway::node::p2p::{Bounds, P2pNode, Program};
use annex_gateway::node::p2p_http::{HttpNode, Password, Server};
use annex_gateway::node::s3::{PART, S3Node};
use annex_gateway::node::{Lazy, Node, NodeError, Opener, Patience, Peer};
use annex_gateway::site::config::{
    DirectorySpec, External, KeepHttpSpec, KeepS3Spec, KeepVolume, NodeSpec, P2pSpec, PasswordSource, S3Spec, Secret,
};
use annex_gateway::site::{NodeConfig, Site, SiteError, cluster};
use annex_gateway::spool::LazySpool;
use annex_protocol::shell::{Action, AnnexCommand, Directory, split};
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use keep_store::base::clock::{SharedClock, SystemClock};
use keep_store::base::disk;
use keep_store::base::task::blocking;
use keep_store::entries::{KeepError, KeepStore, Options};
use keep_store::service::{Mount, OpenStore};
use keep_store::store::dir::Create;
use tokio::sync::{Mutex, OnceCell};

use crate::error::Failure;
use crate::host::hub::Assemble;
use crate::host::repo::Repo;

mod bucket;
mod keep;
mod servers;

use bucket::bucket;
use keep::KeepBucket;
pub use keep::KeepPlace;
use servers::{ArvadosOpener, Cluster, KeepServers};

/// The stores that are open in this process, each once for all repositories.
#[derive(Clone, Default)]
pub struct Stores {
    open: Arc<Mutex<HashMap<PathBuf, Arc<OnceCell<KeepStore>>>>>,
    /// Clusters, each once for all repositories.
    clusters: Arc<Mutex<HashMap<String, Arc<OnceCell<Cluster>>>>>,
    /// Nodes that serve one repository, by name, so that status questions reach the node that is in use.
    single: Arc<std::sync::Mutex<HashMap<String, Arc<dyn Node>>>>,
    /// Temporary files for external programs.
    spool: Arc<OnceLock<LazySpool>>,
    meters: Meters,
}

#[async_trait]
impl Assemble for Stores {
    async fn gateway(&self, site: &Site, repo: &Repo) -> Gateway {
        let members = repo.nodes.iter().map(|node| {
            let (name, uuid, draining) = (node.name.clone(), node.uuid.clone(), node.draining);
            let made = self.node(site, &name, &node.store, &uuid, &repo.identity);
            if matches!(node.store, NodeSpec::External(_)) {
                self.single().insert(name.clone(), Arc::clone(&made));
            }
            let mut member = Member::new(&name, uuid, made, self.meters.at(site.clock()).of(&name), patience(site));
            member.draining = draining;
            member.terms = site.config().nodes.get(&name).map(terms).unwrap_or_default();
            member
        });
        let spool = self.spool(site);
        Gateway::new(site.clone(), repo.branch.clone(), repo.identity.clone(), members.collect(), spool)
    }

    fn nodes(&self, site: &Site) -> Vec<(String, Arc<dyn Node>)> {
        // Space is the same for every owner: any UUID will do.
        let node = |(name, node): (&String, &NodeConfig)| {
            let uuid = node.uuid.clone().or_else(|| Uuid::parse(node.id.to_string().as_bytes()))?;
            let nobody = Identity { gateway: uuid.clone(), cluster: uuid.clone() };
            let store = node.store.absolute(site.root());
            // A program is not started only to be asked how it is.
            if matches!(store, NodeSpec::External(_)) {
                return self.single().get(name).map(|made| (name.clone(), Arc::clone(made)));
            }
            Some((name.clone(), self.node(site, name, &store, &uuid, &nobody)))
        };
        site.config().nodes.iter().filter_map(node).collect()
    }

    fn mounts(&self, site: &Site) -> Result<Vec<Mount>, SiteError> {
        let (cluster, root) = (site.cluster()?, site.root());
        let mut mounts: Vec<Mount> = Vec::new();
        for (name, node) in &site.config().nodes {
            let place = match node.store.absolute(root) {
                NodeSpec::Keep(path) => KeepPlace::Directory(path),
                NodeSpec::KeepS3(spec) => KeepPlace::bucket(site, &spec),
                _ => continue,
            };
            let path = place.directory();
            let device = path.canonicalize().unwrap_or_else(|_| path.to_path_buf()).display().to_string();
            // Two nodes can be one store.
            if mounts.iter().any(|mount| mount.device == device) {
                continue;
            }
            let uuid = cluster::uuid(cluster, "nyw5e", node.id.as_bytes());
            let KeepVolume { read_only, replication, classes } = node.keep.clone();
            let options = keep_options(site, name);
            let store = Arc::new(KeepMount { stores: self.clone(), place, options });
            mounts.push(Mount { uuid, device, read_only, replication, classes, store });
        }
        Ok(mounts)
    }

    async fn database(&self, site: &Site) -> Result<Arc<dyn Database>, DatabaseError> {
        Ok(match &site.config().database {
            Some(url) => Arc::new(Postgres::new(url)?),
            None => Arc::new(Sqlite::open(&site.root().join("catalogue.db")).await?),
        })
    }

    fn meters(&self) -> &Meters {
        &self.meters
    }
}

impl Stores {
    /// A node that cannot be opened now does not stop the others: it fails when it is asked.
    fn node(&self, site: &Site, name: &str, store: &NodeSpec, uuid: &Uuid, identity: &Identity) -> Arc<dyn Node> {
        let (options, patience) = (keep_options(site, name), patience(site));
        match self.plain(store, uuid, identity, options, patience, (Some(site.root()), site.clock())) {
            Ok(node) => node,
            Err(external) => {
                let (stores, site, external) = (self.clone(), site.clone(), external.clone());
                let (name, uuid) = (name.to_owned(), uuid.clone());
                Arc::new(Lazy::new(Box::new(ExternalOpener { stores, site, name, external, uuid })))
            }
        }
    }

    /// Makes a node that belongs to no site, for a client without a repository of its own; `None` for one that wants a
    /// site: an external special remote's program, the index of a bucket or of servers.
    pub fn outside(&self, store: &NodeSpec, uuid: &Uuid) -> Option<Arc<dyn Node>> {
        let client = Uuid::parse(uuid::Uuid::new_v4().to_string().as_bytes())?;
        let identity = Identity { gateway: client.clone(), cluster: client };
        match store {
            NodeSpec::KeepS3(KeepS3Spec { index: None, .. }) | NodeSpec::KeepHttp(KeepHttpSpec { index: None, .. }) => {
                None
            }
            _ => self
                .plain(store, uuid, &identity, Options::default(), Patience::default(), (None, &SystemClock::shared()))
                .ok(),
        }
    }

    /// Makes a node, unless it is one that wants a site.
    fn plain<'a>(
        &self,
        store: &'a NodeSpec,
        uuid: &Uuid,
        identity: &Identity,
        options: Options,
        patience: Patience,
        (root, clock): (Option<&Path>, &SharedClock),
    ) -> Result<Arc<dyn Node>, &'a External> {
        let uuid = uuid.clone();
        let keep = |place, uuid| KeepOpener {
            store: KeepMount { stores: self.clone(), place, options: options.clone() },
            uuid,
        };
        let opener: Box<dyn Opener> = match store {
            NodeSpec::External(external) => return Err(external),
            NodeSpec::P2p { server, gateway } => return Ok(p2p(server, gateway.clone(), uuid, identity, patience)),
            NodeSpec::Keep(path) => Box::new(keep(KeepPlace::Directory(path.clone()), uuid)),
            NodeSpec::KeepS3(spec) => {
                let (spec, index) = (spec.clone(), KeepPlace::index(root.unwrap_or(Path::new("")), spec));
                Box::new(keep(KeepPlace::Bucket(Box::new(KeepBucket { spec, index, patience })), uuid))
            }
            NodeSpec::KeepHttp(spec) => {
                let (spec, index) = (spec.clone(), KeepServers::index(root.unwrap_or(Path::new("")), spec));
                Box::new(keep(KeepPlace::Servers(Box::new(KeepServers { spec, index, patience })), uuid))
            }
            NodeSpec::Arvados(spec) => {
                let (uploads, spec) = (root.map(|root| ArvadosOpener::uploads(root, spec)), spec.clone());
                Box::new(ArvadosOpener { stores: self.clone(), spec, uploads, options, patience, uuid })
            }
            NodeSpec::Annex(spec) => {
                let peer = peer(None, uuid, identity);
                Box::new(AnnexOpener { path: spec.path.clone(), peer, patience, clock: Arc::clone(clock) })
            }
            NodeSpec::Directory(spec) => Box::new(DirectoryOpener(spec.clone(), patience, Arc::clone(clock))),
            NodeSpec::S3(spec) => Box::new(S3Opener(spec.clone(), patience)),
        };
        Ok(Arc::new(Lazy::new(opener)))
    }

    fn single(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<dyn Node>>> {
        self.single.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn keep(&self, place: &KeepPlace, options: &Options) -> Result<KeepStore, KeepError> {
        let cell = Arc::clone(self.open.lock().await.entry(place.directory().into()).or_default());
        cell.get_or_try_init(|| place.open(Create::Never, options.clone())).await.cloned()
    }

    fn spool(&self, site: &Site) -> LazySpool {
        let make = || LazySpool::new(&site.root().join("run/spool"), site.config().limits.spool_reserve, site.clock());
        self.spool.get_or_init(make).clone()
    }
}

struct KeepOpener {
    store: KeepMount,
    uuid: Uuid,
}

#[async_trait]
impl Opener for KeepOpener {
    async fn open(&self) -> Result<Arc<dyn Node>, NodeError> {
        match self.store.open().await {
            Ok(store) => {
                let path = self.store.place.directory().to_path_buf();
                let device = blocking(move || disk::device(&path)).await.ok();
                Ok(Arc::new(KeepNode::new(store, self.uuid.clone()).on_device(device)))
            }
            Err(error) => Err(NodeError::Unreachable(error.to_string())),
        }
    }
}

/// A Keep store of the site, for its nodes and as a volume of its Keep.
struct KeepMount {
    stores: Stores,
    place: KeepPlace,
    options: Options,
}

#[async_trait]
impl OpenStore for KeepMount {
    fn name(&self) -> String {
        self.place.name()
    }

    async fn open(&self) -> Result<KeepStore, KeepError> {
        self.stores.keep(&self.place, &self.options).await
    }
}

struct AnnexOpener {
    path: PathBuf,
    peer: Peer,
    patience: Patience,
    clock: SharedClock,
}

#[async_trait]
impl Opener for AnnexOpener {
    async fn open(&self) -> Result<Arc<dyn Node>, NodeError> {
        let (path, uuid, patience, clock) = (&self.path, &self.peer.uuid, self.patience, &self.clock);
        if !blocking(|| is_installed(GIT_ANNEX_SHELL)).await {
            return Ok(Arc::new(AnnexNode::open(path, uuid, patience, clock).await?));
        }
        let line = p2p_stdio(&self.peer, path.as_os_str().as_bytes());
        let program = Program::new(vec![GIT_ANNEX_SHELL.into(), b"-c".into(), line]);
        // git-annex puts its index right when it ends.
        let bounds = Bounds { idle: 0, ..Bounds::default() };
        let git_annex = P2pNode::new(program, self.peer.clone(), patience, bounds);
        AnnexNode::open_beside(path, uuid, patience, clock, Arc::new(git_annex)).await
    }
}

const GIT_ANNEX_SHELL: &str = "git-annex-shell";

/// Tells whether a program is in PATH. Blocks.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Returns the command line that makes git-annex-shell speak the P2P protocol for a repository.
fn p2p_stdio(peer: &Peer, path: &[u8]) -> Vec<u8> {
    let action = Action::P2pStdio { client: peer.client.clone() };
    let mut command = AnnexCommand::new(action, Directory::new(path));
    command.uuid = Some(peer.uuid.clone());
    command.to_line()
}

/// A node that speaks the P2P protocol knows this gateway by the UUID of its repository.
fn peer(gateway: Option<Uuid>, uuid: Uuid, identity: &Identity) -> Peer {
    let bypass = [identity.gateway.clone(), identity.cluster.clone()].into();
    Peer { uuid, gateway, client: identity.gateway.clone(), bypass }
}

struct DirectoryOpener(DirectorySpec, Patience, SharedClock);

#[async_trait]
impl Opener for DirectoryOpener {
    async fn open(&self) -> Result<Arc<dyn Node>, NodeError> {
        Ok(Arc::new(DirectoryNode::open(&self.0.path, self.0.chunk, self.1, &self.2).await?))
    }
}

struct S3Opener(S3Spec, Patience);

#[async_trait]
impl Opener for S3Opener {
    async fn open(&self) -> Result<Arc<dyn Node>, NodeError> {
        let bucket = bucket(&self.0, self.1).await?;
        Ok(Arc::new(S3Node::new(bucket, self.0.chunk, self.0.part.unwrap_or(PART))))
    }
}

struct ExternalOpener {
    stores: Stores,
    site: Site,
    name: String,
    external: External,
    uuid: annex_protocol::uuid::Uuid,
}

#[async_trait]
impl Opener for ExternalOpener {
    async fn open(&self) -> Result<Arc<dyn Node>, NodeError> {
        let root = self.site.root();
        let spool = self.stores.spool(&self.site).open().await?;
        let External { kind, settings, secrets, processes, deadline } = self.external.clone();
        let times = deadline.map_or_else(Times::default, |silence| Times::default().with_silence(silence));
        let node = ExternalNode::open(external::Options {
            name: self.name.clone(),
            program: format!("git-annex-remote-{kind}").into(),
            kind,
            uuid: self.uuid.clone(),
            settings,
            secrets: Arc::new(move |name| secrets.get(name).map(Secret::read).transpose()),
            // Named by the UUID, which stays when the node is called something else.
            dir: root.join("nodes").join(format!("{}.state", self.uuid)),
            spool,
            processes,
            times,
        });
        Ok(Arc::new(node.await?))
    }
}

fn keep_options(site: &Site, name: &str) -> Options {
    let usual = Options::default();
    let reserve = site.config().nodes.get(name).and_then(|node| node.reserve).unwrap_or(usual.reserve);
    Options { reserve, trash_lifetime: site.config().keep.trash_lifetime, ..usual }
}

/// How long the nodes of a site are waited for.
fn patience(site: &Site) -> Patience {
    Patience::of(site.config().limits.answer)
}

fn terms(node: &NodeConfig) -> Terms {
    let (cost, local, reserve) = (node.cost, node.store.is_local(), node.reserve_beside_store());
    Terms { cost, local, reserve, max_size: node.max_size }
}

fn p2p(server: &P2pSpec, gateway: Option<Uuid>, uuid: Uuid, identity: &Identity, patience: Patience) -> Arc<dyn Node> {
    let peer = peer(gateway, uuid, identity);
    let program = match server {
        P2pSpec::Ssh(ssh) => {
            let line = p2p_stdio(&peer, ssh.path.as_bytes());
            Program::ssh(&ssh.host, ssh.port, ssh.user.as_deref(), line)
        }
        P2pSpec::Command(line) => {
            let line = line.replace("{client}", &peer.client.to_string()).replace("{uuid}", &peer.uuid.to_string());
            // A line that cannot be split does not get past the configuration.
            Program::new(split(line.as_bytes()).unwrap_or_default())
        }
        P2pSpec::Http(http) => {
            let password = http.password.clone().map(|password| match password {
                PasswordSource::File(path) => Password::File(path),
                PasswordSource::Environment(name) => Password::Environment(name),
            });
            let (url, user, ca_file) = (http.url.clone(), http.user.clone(), http.ca_file.clone());
            let server = Server { url, credentials: user.zip(password), ca_file };
            return Arc::new(HttpNode::new(server, peer, patience));
        }
    };
    Arc::new(P2pNode::new(program, peer, patience, Bounds::default()))
}

/// Makes the stores of a new site.
pub async fn make_stores(site: &Site) -> Result<(), Failure> {
    for node in site.config().nodes.values() {
        make_store(site, &node.store.absolute(site.root())).await?;
    }
    Ok(())
}

/// Makes the store of a new node. Never done for one that was there before: its disk may just be away.
pub async fn make_store(site: &Site, spec: &NodeSpec) -> Result<(), Failure> {
    match spec {
        NodeSpec::Keep(path) => drop(KeepStore::open(path, Create::IfMissing, Options::default()).await?),
        NodeSpec::KeepS3(spec) => {
            // A store that is there already is only looked at: its index stands where it was made.
            drop(KeepPlace::bucket(site, spec).open(Create::IfMissing, Options::default()).await?);
        }
        NodeSpec::KeepHttp(spec) => {
            drop(KeepPlace::servers(site, spec.clone()).open(Create::IfMissing, Options::default()).await?);
        }
        // These are made by git-annex, or are there already.
        NodeSpec::Annex(_)
        | NodeSpec::Arvados(_)
        | NodeSpec::Directory(_)
        | NodeSpec::External(_)
        | NodeSpec::S3(_)
        | NodeSpec::P2p { .. } => {}
    }
    Ok(())
}
