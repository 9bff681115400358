//! A node that is a Keep store.

use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use futures_util::StreamExt;
use keep_store::base::stream::Piece;
use keep_store::entries::{KeepError, KeepStore};
use keep_store::store::StoreError;

use super::{ByteStream, Content, Node, NodeError, Space, Upload};

/// The content of one repository in a Keep store.
///
/// Each repository has its own entries, under the node's UUID in that repository; equal blocks are shared.
pub struct KeepNode {
    store: KeepStore,
    owner: Uuid,
    device: Option<u64>,
}

impl KeepNode {
    /// Makes the node with this UUID on a store.
    pub fn new(store: KeepStore, owner: Uuid) -> Self {
        Self { store, owner, device: None }
    }

    /// Names the file system that the store is on, which others may share.
    #[must_use]
    pub fn on_device(self, device: Option<u64>) -> Self {
        Self { device, ..self }
    }
}

#[async_trait]
impl Node for KeepNode {
    async fn present(&self, key: &Key) -> Result<bool, NodeError> {
        Ok(self.store.present(self.owner.as_bytes(), &key.file_name()).await?)
    }

    async fn get(&self, key: &Key, offset: u64) -> Result<Option<Content>, NodeError> {
        let content = self.store.read(self.owner.as_bytes(), &key.file_name(), offset).await?;
        Ok(content.map(|content| Content { size: content.size, stream: content.stream.boxed(), verified: true }))
    }

    async fn put(&self, key: &Key) -> Result<Box<dyn Upload>, NodeError> {
        Ok(Box::new(KeepUpload(self.store.write(self.owner.as_bytes(), &key.file_name()).await?)))
    }

    async fn remove(&self, key: &Key) -> Result<(), NodeError> {
        self.store.remove(self.owner.as_bytes(), &key.file_name()).await?;
        Ok(())
    }

    async fn space(&self) -> Result<Option<Space>, NodeError> {
        let space = self.store.space().await?;
        let Some(space) = Some(space).filter(|space| !space.is_endless()) else { return Ok(None) };
        Ok(Some(Space { total: space.total, free: space.free, device: self.device }))
    }

    async fn held(&self) -> Result<Option<u64>, NodeError> {
        Ok(Some(self.store.held().await?))
    }
}

struct KeepUpload(keep_store::entries::Upload);

#[async_trait]
impl Upload for KeepUpload {
    fn offset(&self) -> u64 {
        self.0.offset()
    }

    async fn kept(&self) -> Result<ByteStream, NodeError> {
        Ok(self.0.kept().await?.boxed())
    }

    async fn restart(&mut self) -> Result<(), NodeError> {
        Ok(self.0.restart().await?)
    }

    fn takes_blocks(&self) -> bool {
        true
    }

    async fn piece(&mut self, piece: Piece) -> Result<(), NodeError> {
        Ok(self.0.piece(piece).await?)
    }

    async fn commit(self: Box<Self>) -> Result<(), NodeError> {
        self.0.commit().await?;
        Ok(())
    }

    async fn suspend(self: Box<Self>) -> Result<(), NodeError> {
        self.0.suspend().await?;
        Ok(())
    }

    async fn abort(self: Box<Self>) -> Result<(), NodeError> {
        Ok(self.0.abort().await?)
    }
}

impl From<KeepError> for NodeError {
    fn from(error: KeepError) -> Self {
        let text = error.to_string();
        match error {
            error if error.is_full() => Self::Full(text),
            KeepError::Store(StoreError::Away { .. }) => Self::Unreachable(text),
            _ => Self::Failed(text),
        }
    }
}
