//! The ports themselves. Each call is one transaction; many processes may share the table.
//!
//! What a call records is durable when it returns. [`Entries::remove`], [`Deadlines::forget_due`] and [`Holding::release`]
//! forget rows for all processes at once, but do not wait for the disk: such rows may come back after the machine died. That
//! costs room, and nothing is lost.

use std::time::SystemTime;

use annex_protocol::keep::{BlockHash, Locator};
use async_trait::async_trait;
use bytes::Bytes;

use super::{Entry, Held, IndexError, Number, Totals};
use crate::store::Block;

/// The five ports that every index has. A type that implements them has this one by itself.
pub trait Index: Entries + References + Uploads + Deadlines + Rebuilding {}

impl<T: Entries + References + Uploads + Deadlines + Rebuilding> Index for T {}

/// A table of entries.
#[async_trait]
pub trait Entries: Send + Sync + 'static {
    /// Returns an entry.
    async fn entry(&self, owner: &[u8], name: &[u8]) -> Result<Option<Entry>, IndexError>;

    /// Records an entry in place of one with the same owner and name, and forgets its unfinished upload.
    ///
    /// Returns the blocks that nothing refers to any more because of that; they are noted as due at `deadline`.
    async fn put(&self, entry: Entry, deadline: SystemTime) -> Result<Vec<Block>, IndexError>;

    /// Forgets an entry; `None` when there is none. Returns and notes blocks as [`Entries::put`] does.
    async fn remove(&self, owner: &[u8], name: &[u8], deadline: SystemTime) -> Result<Option<Vec<Block>>, IndexError>;

    /// Returns the entries that refer to a block.
    async fn entries_with(&self, block: BlockHash) -> Result<Vec<Entry>, IndexError>;

    /// Lists entries ordered by owner and name, at most `limit` of them, those after `after` only.
    async fn list(
        &self,
        owner: Option<&[u8]>,
        after: Option<(&[u8], &[u8])>,
        limit: usize,
    ) -> Result<Vec<Entry>, IndexError>;

    /// Returns how many entries there are, and the sum of their sizes.
    async fn totals(&self) -> Result<Totals, IndexError>;
}

/// Knows which blocks somebody refers to.
#[async_trait]
pub trait References: Send + Sync + 'static {
    /// Returns those of `blocks` that an entry, an unfinished upload, or a lease that has not ended refers to.
    async fn referenced(&self, blocks: &[BlockHash]) -> Result<Vec<BlockHash>, IndexError>;

    /// Keeps blocks until `until` as if something referred to them; a lease that ends later stays as it is.
    async fn lease(&self, blocks: &[BlockHash], until: SystemTime) -> Result<(), IndexError>;

    /// Forgets leases that have ended at `now`.
    async fn forget_leases(&self, now: SystemTime) -> Result<(), IndexError>;
}

/// A table of unfinished uploads.
#[async_trait]
pub trait Uploads: Send + Sync + 'static {
    /// Returns the blocks of an unfinished upload, first to last.
    async fn upload(&self, owner: &[u8], name: &[u8]) -> Result<Vec<Block>, IndexError>;

    /// Records all blocks of an unfinished upload in place of those that were recorded. If another upload of the same content
    /// came further and recorded more, nothing changes.
    async fn record_upload(&self, owner: &[u8], name: &[u8], blocks: &[Block]) -> Result<(), IndexError>;

    /// Forgets an unfinished upload. Returns and notes blocks as [`Entries::put`] does.
    async fn forget_upload(&self, owner: &[u8], name: &[u8], deadline: SystemTime) -> Result<Vec<Block>, IndexError>;

    /// Returns owner and name of unfinished uploads that were last recorded before `before`.
    async fn stale_uploads(&self, before: SystemTime, limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>, IndexError>;
}

/// Notes until when blocks stay in the trash.
#[async_trait]
pub trait Deadlines: Send + Sync + 'static {
    /// Returns noted blocks whose deadline has passed at `now`.
    async fn due(&self, now: SystemTime, limit: usize) -> Result<Vec<BlockHash>, IndexError>;

    /// Forgets the note of blocks that were deleted for good, or brought back, where it was due at `now`.
    async fn forget_due(&self, blocks: &[BlockHash], now: SystemTime) -> Result<(), IndexError>;
}

/// Lets the index be rebuilt from the blocks while it is used.
#[async_trait]
pub trait Rebuilding: Send + Sync + 'static {
    /// Records whether the index tells of all entries: false while it is being rebuilt.
    async fn set_complete(&self, complete: bool) -> Result<(), IndexError>;

    /// Forgets entries whose manifest `keep` does not hold, if recorded before `before`; returns how many.
    ///
    /// Their blocks are left alone.
    async fn retain(&self, keep: Box<dyn Fn(BlockHash) -> bool + Send>, before: SystemTime) -> Result<u64, IndexError>;
}

/// Holds bytes of small blocks while the store has not made them durable, so that both wait for the disk once, and many
/// together.
#[async_trait]
pub trait Holding: Send + Sync + 'static {
    /// Records an entry as [`Entries::put`] does, and the bytes of blocks with it, all in one transaction.
    ///
    /// Returns what [`Entries::put`] does, and the numbers by which the bytes are released.
    async fn put_holding(
        &self,
        entry: Entry,
        blocks: Vec<(Block, Bytes)>,
        deadline: SystemTime,
    ) -> Result<(Vec<Block>, Vec<Number>), IndexError>;

    /// Returns bytes that have been held since before `before`, of at most `limit` blocks.
    async fn held(&self, before: SystemTime, limit: usize) -> Result<Vec<Held>, IndexError>;

    /// Returns a block's bytes, if they are held.
    async fn held_block(&self, block: Block) -> Result<Option<Bytes>, IndexError>;

    /// Forgets bytes that are durable elsewhere by now, or that nobody needs. Numbers that are not known are passed over.
    async fn release(&self, numbers: Vec<Number>) -> Result<(), IndexError>;
}

/// Looks entries up on this machine's disks from the thread that asks.
pub trait IndexHere: Send + Sync + 'static {
    /// Does what [`Entries::entry`] does. Blocks for a moment.
    fn look_up(&self, owner: &[u8], name: &[u8]) -> Result<Option<Entry>, IndexError>;
}

/// A table of the signatures without which servers do not give blocks out. Each call is durable when it returns.
#[async_trait]
pub trait Signatures: Send + Sync + 'static {
    /// Notes signed locators, in place of what was noted of the same blocks.
    async fn note(&self, locators: Vec<Locator>) -> Result<(), IndexError>;

    /// Returns what is noted of blocks.
    async fn noted(&self, blocks: Vec<BlockHash>) -> Result<Vec<Locator>, IndexError>;

    /// Forgets signatures that were noted before `before`, of blocks that no entry and no unfinished upload refers to.
    async fn forget_unneeded(&self, before: SystemTime) -> Result<(), IndexError>;
}
