//! What a store holds, counted.

use futures_util::TryStreamExt;

use super::{KeepError, KeepStore};
use crate::store::BlockState;

/// What a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// Bytes that the place has.
    pub total: u64,
    /// Bytes that can still be stored.
    pub free: u64,
    /// Bytes in blocks, the trash not counted.
    pub used: u64,
    /// Blocks in place.
    pub blocks: u64,
    /// Blocks in the trash.
    pub trash: u64,
    /// Bytes in the trash.
    pub trash_bytes: u64,
    /// Blocks set aside since they were damaged.
    pub damaged: u64,
    /// Entries.
    pub entries: u64,
    /// Bytes of all entries, as if nothing were shared.
    pub entry_bytes: u64,
    /// Unfinished uploads.
    pub uploads: u64,
}

impl KeepStore {
    /// Counts what the store holds. Looks at every block's name, so it takes a while in a large store.
    pub async fn status(&self) -> Result<Status, KeepError> {
        let space = self.inner.store.blocks.space().await?;
        let totals = self.inner.index.totals().await?;
        let mut status = Status {
            total: space.total,
            free: space.free,
            entries: totals.entries,
            entry_bytes: totals.bytes,
            uploads: totals.uploads,
            ..Status::default()
        };
        let mut listing = self.inner.store.blocks.list("").await?;
        while let Some(listed) = listing.try_next().await? {
            match listed.state {
                BlockState::Live => {
                    status.blocks += 1;
                    status.used += listed.size;
                }
                BlockState::Trashed(_) => {
                    status.trash += 1;
                    status.trash_bytes += listed.size;
                }
                BlockState::Damaged => status.damaged += 1,
            }
        }
        Ok(status)
    }
}
