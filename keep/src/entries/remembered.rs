//! Blocks on servers whose signatures outlive this process.
//!
//! A server that checks permissions gives a block only to those who show the signature that they were given for it. Each
//! signature is noted, durably, before its block counts as stored, and looked up when it is needed and not known.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use annex_protocol::keep::{BlockHash, Locator};
use async_trait::async_trait;
use bytes::Bytes;

use super::servers::ServerStore;
use crate::index::{IndexError, Signatures};
use crate::store::{
    Block, BlockBytes, BlockListing, BlockWriter, Blocks, Condemned, Inventory, Placed, Retention, SignedLocators,
    Space, Stat, StoreError, StoreParts,
};

/// Blocks on servers, with their signatures in a table.
struct Remembered(Arc<Inner>);

struct Inner {
    blocks: ServerStore,
    signatures: Arc<dyn Signatures>,
    /// When what nobody needs was last forgotten.
    tidied: Mutex<Option<SystemTime>>,
}

/// How long a signature is kept for an upload that may just have begun, and how often others are forgotten.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Returns the store whose signatures are noted in `signatures`.
pub(super) fn remembered(blocks: ServerStore, signatures: Arc<dyn Signatures>) -> StoreParts {
    let signed = Arc::new(blocks.clone());
    let blocks = Remembered(Arc::new(Inner { blocks, signatures, tidied: Mutex::default() }));
    StoreParts { signed: Some(signed), ..StoreParts::plain(blocks) }
}

impl Inner {
    /// Looks up signatures that are not known yet.
    async fn learn(&self, blocks: &[Block]) -> Result<(), StoreError> {
        let unknown = blocks.iter().filter(|block| block.size > 0 && !has_hints(&self.blocks.locator(**block)));
        let unknown: Vec<BlockHash> = unknown.map(|block| block.hash).collect();
        if !unknown.is_empty() {
            let noted = self.signatures.noted(unknown).await.map_err(|error| self.failed(error))?;
            noted.iter().for_each(|locator| self.blocks.learn(locator));
        }
        Ok(())
    }

    /// Notes the signature of a block that was just stored.
    async fn note(&self, block: Block) -> Result<(), StoreError> {
        let locator = self.blocks.locator(block);
        if has_hints(&locator) {
            self.signatures.note(vec![locator]).await.map_err(|error| self.failed(error))?;
        }
        if let Some(before) = self.tidying(self.blocks.clock().wall())
            && let Err(error) = self.signatures.forget_unneeded(before).await
        {
            tracing::warn!(store = self.blocks.name(), %error, "old signatures could not be forgotten");
        }
        Ok(())
    }

    /// Once a day, returns since when signatures have to be noted to stay.
    fn tidying(&self, now: SystemTime) -> Option<SystemTime> {
        let mut tidied = self.tidied.lock().unwrap_or_else(PoisonError::into_inner);
        let before = now.checked_sub(DAY)?;
        if tidied.is_some_and(|last| last > before) {
            return None;
        }
        *tidied = Some(now);
        Some(before)
    }

    fn failed(&self, error: IndexError) -> StoreError {
        let store = self.blocks.name();
        match error {
            IndexError::Full { .. } => StoreError::Full { store },
            other => StoreError::Failed { store, reason: other.to_string() },
        }
    }
}

fn has_hints(locator: &Locator) -> bool {
    locator.hints().next().is_some()
}

#[async_trait]
impl Blocks for Remembered {
    fn name(&self) -> String {
        self.0.blocks.name()
    }

    async fn writer(&self) -> Result<Box<dyn BlockWriter>, StoreError> {
        Ok(Box::new(Writer { store: Arc::clone(&self.0), writer: self.0.blocks.writer().await? }))
    }

    async fn read(&self, block: Block, from: u32, ahead: usize) -> Result<Option<BlockBytes>, StoreError> {
        self.0.learn(&[block]).await?;
        self.0.blocks.read(block, from, ahead).await
    }

    async fn peek(&self, hash: BlockHash, size: usize) -> Result<Option<Bytes>, StoreError> {
        self.0.blocks.peek(hash, size).await
    }

    async fn missing(&self, blocks: &[Block]) -> Result<Vec<Block>, StoreError> {
        self.0.learn(blocks).await?;
        self.0.blocks.missing(blocks).await
    }
}

#[async_trait]
impl Inventory for Remembered {
    async fn stat(&self, hash: BlockHash) -> Result<Option<Stat>, StoreError> {
        self.0.blocks.stat(hash).await
    }

    async fn list(&self, prefix: &str) -> Result<BlockListing, StoreError> {
        self.0.blocks.list(prefix).await
    }

    async fn space(&self) -> Result<Space, StoreError> {
        self.0.blocks.reach().await?;
        self.0.blocks.space().await
    }
}

#[async_trait]
impl Retention for Remembered {
    async fn touch(&self, hash: BlockHash) -> Result<bool, StoreError> {
        self.0.blocks.touch(hash).await
    }

    async fn trash(
        &self,
        hash: BlockHash,
        deadline: SystemTime,
        unless_since: Option<SystemTime>,
    ) -> Result<bool, StoreError> {
        self.0.blocks.trash(hash, deadline, unless_since).await
    }

    async fn untrash(&self, hash: BlockHash) -> Result<bool, StoreError> {
        self.0.blocks.untrash(hash).await
    }

    async fn condemn(&self, hash: BlockHash, due: SystemTime) -> Result<Vec<Condemned>, StoreError> {
        self.0.blocks.condemn(hash, due).await
    }

    async fn delete(&self, copy: Condemned) -> Result<bool, StoreError> {
        self.0.blocks.delete(copy).await
    }
}

struct Writer {
    store: Arc<Inner>,
    writer: Box<dyn BlockWriter>,
}

#[async_trait]
impl BlockWriter for Writer {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.writer.write(bytes).await
    }

    async fn finish(self: Box<Self>, block: Block, blake3: Option<[u8; 32]>) -> Result<Placed, StoreError> {
        let placed = self.writer.finish(block, blake3).await?;
        self.store.note(block).await?;
        Ok(placed)
    }
}
