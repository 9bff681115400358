//! Configuration to running parts: the only place that names every kind of node.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use tokio::sync::{Mutex, OnceCell};

use crate::error::Failure;
use crate::gateway::{Gateway, Member};
use crate::keep::{Create, KeepError, KeepStore, Options};
use crate::node::annex::AnnexNode;
use crate::node::directory::DirectoryNode;
use crate::node::keep::KeepNode;
use crate::node::measured::{Measured, Meters};
use crate::node::{Deadlines, Lazy, Node, NodeError, Opener};
use crate::repo::Repo;
use crate::serve::hub::Assemble;
use crate::site::config::{DirectorySpec, NodeSpec};
use crate::site::{NodeConfig, Site};

/// The stores that are open in this process, each once for all repositories.
#[derive(Clone, Default)]
pub struct Stores {
    open: Arc<Mutex<HashMap<PathBuf, Arc<OnceCell<KeepStore>>>>>,
    meters: Meters,
}

#[async_trait]
impl Assemble for Stores {
    async fn gateway(&self, site: &Site, repo: &Repo) -> Gateway {
        let members = repo.nodes.iter().map(|node| {
            let (name, uuid, draining) = (node.name.clone(), node.uuid.clone(), node.draining);
            let node = Measured::new(self.node(&node.store, &node.uuid), &name, self.meters.clone());
            Member { name, uuid, node: Arc::new(node), draining }
        });
        Gateway::new(site.clone(), repo.branch.clone(), repo.identity.clone(), members.collect())
    }

    fn nodes(&self, site: &Site) -> Vec<(String, Arc<dyn Node>)> {
        // Space is the same for every owner: any UUID will do.
        let node = |(name, node): (&String, &NodeConfig)| {
            let uuid = Uuid::parse(node.id.to_string().as_bytes())?;
            Some((name.clone(), self.node(&node.store.absolute(site.root()), &uuid)))
        };
        site.config().nodes.iter().filter_map(node).collect()
    }

    fn meters(&self) -> &Meters {
        &self.meters
    }
}

impl Stores {
    /// A node that cannot be opened now is no reason to do without the others: it fails when it is asked.
    fn node(&self, store: &NodeSpec, uuid: &Uuid) -> Arc<dyn Node> {
        match store {
            NodeSpec::Keep(path) => {
                let (stores, path, uuid) = (self.clone(), path.clone(), uuid.clone());
                Arc::new(Lazy::new(Box::new(KeepOpener { stores, path, uuid })))
            }
            NodeSpec::Annex(spec) => {
                Arc::new(Lazy::new(Box::new(AnnexOpener { path: spec.path.clone(), uuid: uuid.clone() })))
            }
            NodeSpec::Directory(spec) => Arc::new(Lazy::new(Box::new(DirectoryOpener(spec.clone())))),
        }
    }

    async fn keep(&self, path: &Path) -> Result<KeepStore, KeepError> {
        let cell = Arc::clone(self.open.lock().await.entry(path.into()).or_default());
        cell.get_or_try_init(|| KeepStore::open(path, Create::Never, Options::default())).await.cloned()
    }
}

struct KeepOpener {
    stores: Stores,
    path: PathBuf,
    uuid: Uuid,
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

struct AnnexOpener {
    path: PathBuf,
    uuid: annex_protocol::uuid::Uuid,
}

#[async_trait]
impl Opener for AnnexOpener {
    async fn open(&self) -> Result<Arc<dyn Node>, NodeError> {
        Ok(Arc::new(AnnexNode::open(&self.path, &self.uuid, Deadlines::default()).await?))
    }
}

struct DirectoryOpener(DirectorySpec);

#[async_trait]
impl Opener for DirectoryOpener {
    async fn open(&self) -> Result<Arc<dyn Node>, NodeError> {
        Ok(Arc::new(DirectoryNode::open(&self.0.path, self.0.chunk, Deadlines::default()).await?))
    }
}

/// Makes the stores of a new site.
pub async fn make_stores(site: &Site) -> Result<(), Failure> {
    for node in site.config().nodes.values() {
        make_store(&node.store.absolute(site.root())).await?;
    }
    Ok(())
}

/// Makes the store of a new node. Never done for one that was there before: its disk may just be away.
pub async fn make_store(spec: &NodeSpec) -> Result<(), Failure> {
    match spec {
        NodeSpec::Keep(path) => drop(KeepStore::open(path, Create::IfMissing, Options::default()).await?),
        // These are made by git-annex, or are there already.
        NodeSpec::Annex(_) | NodeSpec::Directory(_) => {}
    }
    Ok(())
}
