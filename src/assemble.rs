//! Configuration to running parts: the only place that names every kind of node.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use annex_protocol::shell::{Action, AnnexCommand, Directory, split};
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use tokio::sync::{Mutex, OnceCell};

use crate::error::Failure;
use crate::gateway::{Gateway, Identity, Member};
use crate::keep::{Create, KeepStore, Options};
use crate::node::annex::AnnexNode;
use crate::node::directory::DirectoryNode;
use crate::node::external::{self, ExternalNode, Times};
use crate::node::keep::KeepNode;
use crate::node::measured::{Measured, Meters};
use crate::node::p2p::{Bounds, P2pNode, Program};
use crate::node::p2p_http::{HttpNode, Password, Server};
use crate::node::s3::{PART, S3Node};
use crate::node::{Lazy, Node, NodeError, Opener, Patience, Peer};
use crate::repo::Repo;
use crate::serve::hub::Assemble;
use crate::site::config::{DirectorySpec, External, NodeSpec, P2pSpec, PasswordSource, S3Spec, Secret};
use crate::site::{NodeConfig, Site};
use crate::stream::Spool;
use crate::task::blocking;

mod bucket;
mod keep;

use bucket::bucket;
pub use keep::KeepPlace;

/// The stores that are open in this process, each once for all repositories.
#[derive(Clone, Default)]
pub struct Stores {
    open: Arc<Mutex<HashMap<PathBuf, Arc<OnceCell<KeepStore>>>>>,
    /// Nodes that serve one repository, by name: whoever asks after them asks the one that works.
    single: Arc<std::sync::Mutex<HashMap<String, Arc<dyn Node>>>>,
    /// Temporary files for external programs.
    spool: Arc<OnceCell<Spool>>,
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
            Member { node: Arc::new(Measured::new(made, &name, self.meters.clone())), name, uuid, draining }
        });
        Gateway::new(site.clone(), repo.branch.clone(), repo.identity.clone(), members.collect())
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

    fn meters(&self) -> &Meters {
        &self.meters
    }
}

impl Stores {
    /// A node that cannot be opened now is no reason to do without the others: it fails when it is asked.
    fn node(&self, site: &Site, name: &str, store: &NodeSpec, uuid: &Uuid, identity: &Identity) -> Arc<dyn Node> {
        let uuid = uuid.clone();
        let opener: Box<dyn Opener> = match store {
            NodeSpec::Keep(path) => {
                let place = KeepPlace::Directory(path.clone());
                Box::new(KeepOpener { stores: self.clone(), place, uuid })
            }
            NodeSpec::KeepS3(spec) => {
                let place = KeepPlace::bucket(site, spec);
                Box::new(KeepOpener { stores: self.clone(), place, uuid })
            }
            NodeSpec::Annex(spec) => Box::new(AnnexOpener { path: spec.path.clone(), uuid }),
            NodeSpec::Directory(spec) => Box::new(DirectoryOpener(spec.clone())),
            NodeSpec::External(external) => {
                let (stores, site, external) = (self.clone(), site.clone(), external.clone());
                Box::new(ExternalOpener { stores, site, name: name.to_owned(), external, uuid })
            }
            NodeSpec::S3(spec) => Box::new(S3Opener(spec.clone())),
            NodeSpec::P2p { server, gateway } => return p2p(server, gateway.clone(), uuid, identity),
        };
        Arc::new(Lazy::new(opener))
    }

    fn single(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<dyn Node>>> {
        self.single.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn keep(&self, place: &KeepPlace) -> Result<KeepStore, Failure> {
        let cell = Arc::clone(self.open.lock().await.entry(place.directory().into()).or_default());
        cell.get_or_try_init(|| place.open(Create::Never, Options::default())).await.cloned()
    }
}

struct KeepOpener {
    stores: Stores,
    place: KeepPlace,
    uuid: Uuid,
}

#[async_trait]
impl Opener for KeepOpener {
    async fn open(&self) -> Result<Arc<dyn Node>, NodeError> {
        match self.stores.keep(&self.place).await {
            Ok(store) => Ok(Arc::new(KeepNode::new(store, self.uuid.clone()))),
            Err(error) => Err(NodeError::Unreachable(error.text)),
        }
    }
}

struct AnnexOpener {
    path: PathBuf,
    uuid: annex_protocol::uuid::Uuid,
}

#[async_trait]
impl Opener for AnnexOpener {
    async fn open(&self) -> Result<Arc<dyn Node>, NodeError> {
        Ok(Arc::new(AnnexNode::open(&self.path, &self.uuid, Patience::default()).await?))
    }
}

struct DirectoryOpener(DirectorySpec);

#[async_trait]
impl Opener for DirectoryOpener {
    async fn open(&self) -> Result<Arc<dyn Node>, NodeError> {
        Ok(Arc::new(DirectoryNode::open(&self.0.path, self.0.chunk, Patience::default()).await?))
    }
}

struct S3Opener(S3Spec);

#[async_trait]
impl Opener for S3Opener {
    async fn open(&self) -> Result<Arc<dyn Node>, NodeError> {
        let bucket = bucket(&self.0).await?;
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
        let (dir, reserve) = (root.join("run/spool"), self.site.config().limits.spool_reserve);
        let open = || async move { blocking(move || Spool::open(&dir, reserve)).await };
        let spool = self.stores.spool.get_or_try_init(open).await?.clone();
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

/// A node that speaks the P2P protocol knows this gateway by the UUID of its repository.
fn p2p(server: &P2pSpec, gateway: Option<Uuid>, uuid: Uuid, identity: &Identity) -> Arc<dyn Node> {
    let bypass = [identity.gateway.clone(), identity.cluster.clone()].into();
    let client = identity.gateway.clone();
    let peer = Peer { uuid, gateway, client, bypass };
    let patience = Patience::default();
    let program = match server {
        P2pSpec::Ssh(ssh) => {
            let action = Action::P2pStdio { client: peer.client.clone() };
            let mut command = AnnexCommand::new(action, Directory::new(ssh.path.as_bytes()));
            command.uuid = Some(peer.uuid.clone());
            Program::ssh(&ssh.host, ssh.port, ssh.user.as_deref(), command.to_line())
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
        // These are made by git-annex, or are there already.
        NodeSpec::Annex(_)
        | NodeSpec::Directory(_)
        | NodeSpec::External(_)
        | NodeSpec::S3(_)
        | NodeSpec::P2p { .. } => {}
    }
    Ok(())
}
