//! Configuration to running parts: the only place that names every kind of node.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Mutex, OnceCell};

use crate::error::Failure;
use crate::gateway::{Gateway, Member};
use crate::keep::{Create, KeepError, KeepStore, Options};
use crate::node::external::{self, ExternalNode, Times};
use crate::node::keep::KeepNode;
use crate::node::{Lazy, Node, NodeError, Opener};
use crate::repo::{Repo, RepoNode};
use crate::serve::hub::Assemble;
use crate::site::Site;
use crate::site::config::{External, NodeSpec, Secret};
use crate::stream::Spool;
use crate::task::blocking;

/// The stores that are open in this process, each once for all repositories.
#[derive(Default, Clone)]
pub struct Stores {
    keep: Arc<Mutex<HashMap<PathBuf, Arc<OnceCell<KeepStore>>>>>,
    /// Temporary files for external programs.
    spool: Arc<OnceCell<Spool>>,
}

#[async_trait]
impl Assemble for Stores {
    async fn gateway(&self, site: &Site, repo: &Repo) -> Gateway {
        let members = repo.nodes.iter().map(|node| {
            let (name, uuid) = (node.name.clone(), node.uuid.clone());
            Member { name, uuid, node: self.node(site, node) }
        });
        Gateway::new(site.clone(), repo.branch.clone(), repo.identity.clone(), members.collect())
    }
}

impl Stores {
    /// A node that cannot be opened now is no reason to do without the others: it fails when it is asked.
    fn node(&self, site: &Site, node: &RepoNode) -> Arc<dyn Node> {
        let (stores, uuid) = (self.clone(), node.uuid.clone());
        let opener: Box<dyn Opener> = match &node.store {
            NodeSpec::Keep(path) => Box::new(KeepOpener { stores, path: path.clone(), uuid }),
            NodeSpec::External(external) => {
                let (site, name, external) = (site.clone(), node.name.clone(), external.clone());
                Box::new(ExternalOpener { stores, site, name, external, uuid })
            }
        };
        Arc::new(Lazy::new(opener))
    }

    async fn keep(&self, path: &Path) -> Result<KeepStore, KeepError> {
        let cell = Arc::clone(self.keep.lock().await.entry(path.into()).or_default());
        cell.get_or_try_init(|| KeepStore::open(path, Create::Never, Options::default())).await.cloned()
    }
}

struct KeepOpener {
    stores: Stores,
    path: PathBuf,
    uuid: annex_protocol::uuid::Uuid,
}

#[async_trait]
impl Opener for KeepOpener {
    async fn open(&self) -> Result<Arc<dyn Node>, NodeError> {
        match self.stores.keep(&self.path).await {
            Ok(store) => Ok(Arc::new(KeepNode::new(store, self.uuid.clone()))),
            Err(error) => Err(NodeError::Unreachable(error.to_string())),
        }
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

/// Makes the stores of a new site.
pub async fn make_stores(site: &Site) -> Result<(), Failure> {
    for node in site.config().nodes.values() {
        match node.store.absolute(site.root()) {
            NodeSpec::Keep(path) => drop(KeepStore::open(&path, Create::IfMissing, Options::default()).await?),
            NodeSpec::External(_) => {}
        }
    }
    Ok(())
}
