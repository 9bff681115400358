//! A node that is a Keep store.

use std::collections::BTreeSet;

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use futures_util::StreamExt;
use keep_store::base::stream::Piece;
use keep_store::entries::{KeepError, KeepStore};
use keep_store::store::StoreError;

use super::error::NodeError;
use super::only_ours::hold_if;
use super::port::{ByteStream, Capacity, Content, Hold, Incoming, Node, Onward, Pieces, Space, Upload};

pub mod bucket;
pub mod directory;
mod open;
pub mod servers;

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

    async fn put(&self, key: &Key, _file: &AssociatedFile) -> Result<Incoming, NodeError> {
        let upload = self.store.write(self.owner.as_bytes(), &key.file_name()).await?;
        let kept = upload.offset();
        Ok(Incoming::Pieces(Pieces { upload: Box::new(KeepUpload(upload)), kept, takes_blocks: true }))
    }

    async fn remove(&self, key: &Key) -> Result<Vec<Uuid>, NodeError> {
        self.store.remove(self.owner.as_bytes(), &key.file_name()).await?;
        Ok(Vec::new())
    }

    /// A store has no place for damaged entries: the entry goes, and its blocks once nobody else needs them.
    async fn set_aside(&self, key: &Key) -> Result<(), NodeError> {
        self.remove(key).await.map(drop)
    }

    async fn lock(&self, key: &Key) -> Result<Option<Box<dyn Hold>>, NodeError> {
        Ok(hold_if(self.present(key).await?))
    }

    async fn capacity(&self) -> Result<Capacity, NodeError> {
        let space = Some(self.store.space().await?).filter(|space| !space.is_endless());
        let space = space.map(|space| Space { total: space.total, free: space.free, device: self.device });
        Ok(Capacity { space, held: Some(self.store.held().await?) })
    }

    fn onward(&self, _gateways: &BTreeSet<Uuid>) -> Onward {
        Onward::AsIs
    }
}

struct KeepUpload(keep_store::entries::Upload);

#[async_trait]
impl Upload for KeepUpload {
    async fn kept(&self) -> Result<ByteStream, NodeError> {
        Ok(self.0.kept().await?.boxed())
    }

    async fn restart(&mut self) -> Result<(), NodeError> {
        Ok(self.0.restart().await?)
    }

    async fn announce(&mut self, _size: u64) -> Result<(), NodeError> {
        Ok(())
    }

    async fn piece(&mut self, piece: Piece) -> Result<(), NodeError> {
        Ok(self.0.piece(piece).await?)
    }

    async fn commit(self: Box<Self>) -> Result<Vec<Uuid>, NodeError> {
        self.0.commit().await?;
        Ok(Vec::new())
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
            KeepError::Store(StoreError::Damaged { .. } | StoreError::Gone { .. }) => Self::Damaged(text),
            _ => Self::Failed(text),
        }
    }
}
