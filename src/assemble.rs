//! Configuration to running parts: the only place that names every kind of node.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Mutex, OnceCell};

use crate::error::Failure;
use crate::gateway::{Gateway, Member};
use crate::keep::{Create, KeepError, KeepStore, Options};
use crate::node::annex::AnnexNode;
use crate::node::directory::DirectoryNode;
use crate::node::keep::KeepNode;
use crate::node::{Deadlines, Lazy, Node, NodeError, Opener};
use crate::repo::{Repo, RepoNode};
use crate::serve::hub::Assemble;
use crate::site::Site;
use crate::site::config::{DirectorySpec, NodeSpec};

/// The stores that are open in this process, each once for all repositories.
#[derive(Default)]
pub struct Stores(Arc<Mutex<HashMap<PathBuf, Arc<OnceCell<KeepStore>>>>>);

#[async_trait]
impl Assemble for Stores {
    async fn gateway(&self, site: &Site, repo: &Repo) -> Gateway {
        let members = repo.nodes.iter().map(|node| {
            let (name, uuid) = (node.name.clone(), node.uuid.clone());
            Member { name, uuid, node: self.node(node) }
        });
        Gateway::new(site.clone(), repo.branch.clone(), repo.identity.clone(), members.collect())
    }
}

impl Stores {
    /// A node that cannot be opened now is no reason to do without the others: it fails when it is asked.
    fn node(&self, node: &RepoNode) -> Arc<dyn Node> {
        match &node.store {
            NodeSpec::Keep(path) => {
                let (stores, path, uuid) = (Self(Arc::clone(&self.0)), path.clone(), node.uuid.clone());
                Arc::new(Lazy::new(Box::new(KeepOpener { stores, path, uuid })))
            }
            NodeSpec::Annex(spec) => {
                Arc::new(Lazy::new(Box::new(AnnexOpener { path: spec.path.clone(), uuid: node.uuid.clone() })))
            }
            NodeSpec::Directory(spec) => Arc::new(Lazy::new(Box::new(DirectoryOpener(spec.clone())))),
        }
    }

    async fn keep(&self, path: &Path) -> Result<KeepStore, KeepError> {
        let cell = Arc::clone(self.0.lock().await.entry(path.into()).or_default());
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
        match node.store.absolute(site.root()) {
            NodeSpec::Keep(path) => drop(KeepStore::open(&path, Create::IfMissing, Options::default()).await?),
            // These are made by git-annex, or are there already.
            NodeSpec::Annex(_) | NodeSpec::Directory(_) => {}
        }
    }
    Ok(())
}
