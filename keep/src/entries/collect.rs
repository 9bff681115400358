//! Garbage: blocks that nothing refers to go to the trash, what is due there is deleted.

use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt;

use super::{KeepError, KeepStore};
use crate::store::BlockState;

/// Blocks whose references are looked up at once.
const BATCH: usize = 500;

/// What a collection did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    /// Blocks that were looked at.
    pub blocks: u64,
    /// Blocks that went to the trash.
    pub trashed: u64,
    /// Their size in bytes.
    pub trashed_bytes: u64,
    /// Blocks that were deleted for good.
    pub deleted: u64,
    /// Their size in bytes.
    pub deleted_bytes: u64,
}

impl KeepStore {
    /// Moves blocks to the trash that nothing refers to and that nobody wrote or touched for `grace`; then deletes for
    /// good what has been in the trash for its time.
    ///
    /// Safe beside everything else that goes on in the store. A block that is needed again meanwhile stays, or comes back.
    pub async fn collect(&self, grace: Duration) -> Result<Collected, KeepError> {
        let inner = &self.inner;
        let began = inner.now();
        inner.index.forget_leases(began).await?;
        // The store says when a block was written, by the file system's or the server's clock; `grace` is wide enough for that.
        let young = began.checked_sub(grace).unwrap_or(SystemTime::UNIX_EPOCH);
        let mut collected = Collected::default();
        let mut old = Vec::with_capacity(BATCH);
        let mut listing = inner.store.blocks.list("").await?;
        loop {
            let listed = listing.try_next().await?;
            let last = listed.is_none();
            if let Some(listed) = listed.filter(|listed| listed.state == BlockState::Live) {
                collected.blocks += 1;
                if listed.time < young {
                    old.push((listed.hash, listed.size));
                }
            }
            if old.len() == BATCH || last {
                let hashes: Vec<_> = old.iter().map(|(hash, _)| *hash).collect();
                let referenced = inner.index.referenced(&hashes).await?;
                for (hash, size) in old.drain(..).filter(|(hash, _)| !referenced.contains(hash)) {
                    if inner.trash_unreferenced(hash, inner.deadline(), Some(young)).await?.is_ok() {
                        collected.trashed += 1;
                        collected.trashed_bytes += size;
                    }
                }
            }
            if last {
                break;
            }
        }
        (collected.deleted, collected.deleted_bytes) = self.empty_trash(inner.now()).await?;
        Ok(collected)
    }
}
