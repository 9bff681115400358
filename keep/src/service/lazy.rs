//! The blocks of a store that is opened when it is first asked.

use std::sync::Arc;
use std::time::SystemTime;

use annex_protocol::keep::BlockHash;
use async_trait::async_trait;
use bytes::Bytes;

use super::OpenStore;
use crate::entries::KeepError;
use crate::store::{
    Block, BlockBytes, BlockListing, BlockStore, BlockWriter, Blocks, Condemned, Inventory, Retention, Space, Stat,
    StoreError,
};

pub(super) struct LazyBlocks(pub(super) Arc<dyn OpenStore>);

impl LazyBlocks {
    async fn blocks(&self) -> Result<Arc<dyn BlockStore>, StoreError> {
        let opened = self.0.open().await.map_err(store_error(&*self.0));
        opened.map(|store| Arc::clone(store.blocks()))
    }
}

/// Returns what an error of a whole store means for its blocks.
pub(super) fn store_error(store: &dyn OpenStore) -> impl FnOnce(KeepError) -> StoreError {
    move |error| match error {
        KeepError::Store(error) => error,
        error => StoreError::Away { store: store.name(), reason: error.to_string() },
    }
}

#[async_trait]
impl Blocks for LazyBlocks {
    fn name(&self) -> String {
        self.0.name()
    }

    async fn writer(&self) -> Result<Box<dyn BlockWriter>, StoreError> {
        self.blocks().await?.writer().await
    }

    async fn read(&self, block: Block, from: u32, ahead: usize) -> Result<Option<BlockBytes>, StoreError> {
        self.blocks().await?.read(block, from, ahead).await
    }

    async fn peek(&self, hash: BlockHash, size: usize) -> Result<Option<Bytes>, StoreError> {
        self.blocks().await?.peek(hash, size).await
    }

    async fn missing(&self, blocks: &[Block]) -> Result<Vec<Block>, StoreError> {
        self.blocks().await?.missing(blocks).await
    }
}

#[async_trait]
impl Inventory for LazyBlocks {
    async fn stat(&self, hash: BlockHash) -> Result<Option<Stat>, StoreError> {
        self.blocks().await?.stat(hash).await
    }

    async fn list(&self, prefix: &str) -> Result<BlockListing, StoreError> {
        self.blocks().await?.list(prefix).await
    }

    async fn space(&self) -> Result<Space, StoreError> {
        self.blocks().await?.space().await
    }
}

#[async_trait]
impl Retention for LazyBlocks {
    async fn touch(&self, hash: BlockHash) -> Result<bool, StoreError> {
        self.blocks().await?.touch(hash).await
    }

    async fn trash(
        &self,
        hash: BlockHash,
        deadline: SystemTime,
        unless_since: Option<SystemTime>,
    ) -> Result<bool, StoreError> {
        self.blocks().await?.trash(hash, deadline, unless_since).await
    }

    async fn untrash(&self, hash: BlockHash) -> Result<bool, StoreError> {
        self.blocks().await?.untrash(hash).await
    }

    async fn condemn(&self, hash: BlockHash, due: SystemTime) -> Result<Vec<Condemned>, StoreError> {
        self.blocks().await?.condemn(hash, due).await
    }

    async fn delete(&self, copy: Condemned) -> Result<bool, StoreError> {
        self.blocks().await?.delete(copy).await
    }
}
