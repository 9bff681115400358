//! The port `Index`: which entries a store holds, and who refers to which block.
//!
//! The index is a cache of what the manifest blocks say, and can be rebuilt from them; only unfinished uploads, leases,
//! the deadlines of trashed blocks, and for a moment the bytes of small ones ([`Holding`]) stand nowhere else. Where the
//! blocks are on servers, the index is no cache but the record itself, and has their signatures ([`Signatures`]).
//! Adapters: [`sqlite`]; [`nothing`], for entries recorded elsewhere.

use std::path::PathBuf;
use std::time::SystemTime;

use annex_protocol::keep::{BlockHash, Locator};
use async_trait::async_trait;
use bytes::Bytes;

use crate::store::Block;

pub mod nothing;
pub mod sqlite;

/// A table of entries. Each call is one transaction; many processes may share the table.
///
/// What a call records is durable when it returns. What [`Index::remove`], [`Index::forget_due`] and [`Holding::release`]
/// forget is forgotten for everybody then, but may be back after the machine died: that costs room, and nothing is lost.
#[async_trait]
pub trait Index: Send + Sync + 'static {
    /// Returns an entry.
    async fn entry(&self, owner: &[u8], name: &[u8]) -> Result<Option<Entry>, IndexError>;

    /// Records an entry in place of one with the same owner and name, and forgets its unfinished upload.
    ///
    /// Returns the blocks that nothing refers to any more because of that; they are noted as due at `deadline`.
    async fn put(&self, entry: Entry, deadline: SystemTime) -> Result<Vec<Block>, IndexError>;

    /// Returns the index as a place that holds the bytes of small blocks, if it is one.
    fn holding(&self) -> Option<&dyn Holding> {
        None
    }

    /// Returns the index as one on this machine's disks, if it is.
    fn here(&self) -> Option<&dyn IndexHere> {
        None
    }

    /// Forgets an entry; `None` when there is none. Returns and notes blocks as [`Index::put`] does.
    async fn remove(&self, owner: &[u8], name: &[u8], deadline: SystemTime) -> Result<Option<Vec<Block>>, IndexError>;

    /// Returns those of `blocks` that an entry, an unfinished upload, or a lease that has not ended refers to.
    async fn referenced(&self, blocks: &[BlockHash]) -> Result<Vec<BlockHash>, IndexError>;

    /// Keeps blocks until `until` as if something referred to them; a lease that ends later stays as it is.
    async fn lease(&self, blocks: &[BlockHash], until: SystemTime) -> Result<(), IndexError>;

    /// Forgets leases that have ended at `now`.
    async fn forget_leases(&self, now: SystemTime) -> Result<(), IndexError>;

    /// Returns the entries that refer to a block.
    async fn entries_with(&self, block: BlockHash) -> Result<Vec<Entry>, IndexError>;

    /// Lists entries ordered by owner and name, at most `limit` of them, those after `after` only.
    async fn list(
        &self,
        owner: Option<&[u8]>,
        after: Option<(&[u8], &[u8])>,
        limit: usize,
    ) -> Result<Vec<Entry>, IndexError>;

    /// Forgets entries whose manifest `keep` does not hold, if recorded before `before`; returns how many.
    ///
    /// Their blocks are left alone.
    async fn retain(&self, keep: Box<dyn Fn(BlockHash) -> bool + Send>, before: SystemTime) -> Result<u64, IndexError>;

    /// Returns the blocks of an unfinished upload, first to last.
    async fn upload(&self, owner: &[u8], name: &[u8]) -> Result<Vec<Block>, IndexError>;

    /// Records all blocks of an unfinished upload, in place of what was recorded. A longer record stays: it is of
    /// another upload of the same content that came further.
    async fn record_upload(&self, owner: &[u8], name: &[u8], blocks: &[Block]) -> Result<(), IndexError>;

    /// Forgets an unfinished upload. Returns and notes blocks as [`Index::put`] does.
    async fn forget_upload(&self, owner: &[u8], name: &[u8], deadline: SystemTime) -> Result<Vec<Block>, IndexError>;

    /// Returns owner and name of unfinished uploads that were last recorded before `before`.
    async fn stale_uploads(&self, before: SystemTime, limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>, IndexError>;

    /// Returns noted blocks whose deadline has passed at `now`.
    async fn due(&self, now: SystemTime, limit: usize) -> Result<Vec<BlockHash>, IndexError>;

    /// Forgets the note of blocks that were deleted for good, or brought back, where it was due at `now`.
    async fn forget_due(&self, blocks: &[BlockHash], now: SystemTime) -> Result<(), IndexError>;

    /// Returns how many entries there are, and the sum of their sizes.
    async fn totals(&self) -> Result<Totals, IndexError>;

    /// Records whether the index tells of all entries: false while it is being rebuilt.
    async fn set_complete(&self, complete: bool) -> Result<(), IndexError>;
}

/// An index that holds bytes of small blocks while the store has not made them durable, so that both wait for the disk
/// once, and many together.
#[async_trait]
pub trait Holding: Send + Sync {
    /// Records an entry as [`Index::put`] does, and the bytes of blocks with it, all in one transaction.
    ///
    /// Returns what [`Index::put`] does, and the numbers by which the bytes are released.
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

/// An index on this machine's disks.
pub trait IndexHere: Send + Sync {
    /// Looks an entry up. Blocks for a moment.
    fn look_up(&self, owner: &[u8], name: &[u8]) -> Result<Option<Entry>, IndexError>;
}

/// A table of what it takes to read blocks from servers that ask for it. Each call is durable when it returns.
#[async_trait]
pub trait Signatures: Send + Sync + 'static {
    /// Notes signed locators, in place of what was noted of the same blocks.
    async fn note(&self, locators: Vec<Locator>) -> Result<(), IndexError>;

    /// Returns what is noted of blocks.
    async fn noted(&self, blocks: Vec<BlockHash>) -> Result<Vec<Locator>, IndexError>;

    /// Forgets what was noted before `before` of blocks that no entry and no unfinished upload refers to.
    async fn forget_unneeded(&self, before: SystemTime) -> Result<(), IndexError>;
}

/// The number of bytes that an index holds; never given out twice.
pub type Number = i64;

/// Bytes that an index holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Their number.
    pub number: Number,
    /// The block that they are.
    pub block: Block,
    /// All of its bytes.
    pub bytes: Bytes,
}

/// A named content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose it is. Opaque bytes.
    pub owner: Vec<u8>,
    /// Its name, unique for the owner. Opaque bytes.
    pub name: Vec<u8>,
    /// Its size in bytes.
    pub size: u64,
    /// The block that holds its manifest.
    pub manifest: Block,
    /// Its content.
    pub blocks: Vec<Block>,
    /// When it was recorded.
    pub stored: SystemTime,
}

/// Sums over all entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// How many there are.
    pub entries: u64,
    /// The sum of their sizes in bytes.
    pub bytes: u64,
    /// How many uploads are unfinished.
    pub uploads: u64,
}

/// Why an index could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// It was there once and is not any more.
    #[error("the index {} is missing; `annex-keep keep reindex` rebuilds it from the blocks", .path.display())]
    Missing {
        /// Where it was.
        path: PathBuf,
    },
    /// It is being rebuilt, or that was interrupted.
    #[error("the index {} is not complete; `annex-keep keep reindex` rebuilds it from the blocks", .path.display())]
    Incomplete {
        /// Where it is.
        path: PathBuf,
    },
    /// It cannot be read any more.
    #[error("the index {} is damaged ({reason}); `annex-keep keep reindex` rebuilds it from the blocks", .path.display())]
    Damaged {
        /// Where it is.
        path: PathBuf,
        /// What the database says.
        reason: String,
    },
    /// It was made by another version of this program.
    #[error("the index {} has format {found}, this program knows {known}", .path.display())]
    Format {
        /// Where it is.
        path: PathBuf,
        /// The format it has.
        found: i64,
        /// The format this program writes.
        known: i64,
    },
    /// No room is left.
    #[error("no room is left for the index {}", .path.display())]
    Full {
        /// Where it is.
        path: PathBuf,
    },
    /// The place refuses to be written.
    #[error("the index {} cannot be written: {reason}", .path.display())]
    Unwritable {
        /// Where it is.
        path: PathBuf,
        /// What the database says.
        reason: String,
    },
    /// Another failure.
    #[error("the index {}: {reason}", .path.display())]
    Failed {
        /// Where it is.
        path: PathBuf,
        /// What the database says.
        reason: String,
    },
}
