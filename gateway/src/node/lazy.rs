//! A node that is opened when it is first asked, and tried again each time as long as that fails.

use std::sync::Arc;

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use async_trait::async_trait;
use tokio::sync::OnceCell;

use super::{Content, FileUpload, Hold, Node, NodeError, Space, Upload};

/// Opens a node.
#[async_trait]
pub trait Opener: Send + Sync {
    /// Opens it, or says why it cannot be asked now.
    async fn open(&self) -> Result<Arc<dyn Node>, NodeError>;
}

/// A node that is opened when it is first asked.
pub struct Lazy {
    opener: Box<dyn Opener>,
    node: OnceCell<Arc<dyn Node>>,
}

impl Lazy {
    /// Makes the node; nothing is opened yet.
    pub fn new(opener: Box<dyn Opener>) -> Self {
        Self { opener, node: OnceCell::new() }
    }

    async fn node(&self) -> Result<&Arc<dyn Node>, NodeError> {
        self.node.get_or_try_init(|| self.opener.open()).await
    }
}

#[async_trait]
impl Node for Lazy {
    async fn present(&self, key: &Key) -> Result<bool, NodeError> {
        self.node().await?.present(key).await
    }

    async fn get(&self, key: &Key, offset: u64) -> Result<Option<Content>, NodeError> {
        self.node().await?.get(key, offset).await
    }

    async fn put(&self, key: &Key) -> Result<Box<dyn Upload>, NodeError> {
        self.node().await?.put(key).await
    }

    async fn put_as(&self, key: &Key, file: &AssociatedFile) -> Result<Box<dyn Upload>, NodeError> {
        self.node().await?.put_as(key, file).await
    }

    async fn put_file(&self, key: &Key) -> Result<Option<Box<dyn FileUpload>>, NodeError> {
        self.node().await?.put_file(key).await
    }

    async fn remove(&self, key: &Key) -> Result<(), NodeError> {
        self.node().await?.remove(key).await
    }

    async fn set_aside(&self, key: &Key) -> Result<(), NodeError> {
        self.node().await?.set_aside(key).await
    }

    async fn lock(&self, key: &Key) -> Result<Option<Box<dyn Hold>>, NodeError> {
        self.node().await?.lock(key).await
    }

    async fn space(&self) -> Result<Option<Space>, NodeError> {
        self.node().await?.space().await
    }

    async fn held(&self) -> Result<Option<u64>, NodeError> {
        self.node().await?.held().await
    }
}
