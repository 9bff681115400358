//! The port `BlockStore`: blocks by hash.
//!
//! A block is at most 64 MiB; its name is the MD5 of its bytes (`docs/spec/keep-blocks.md` §1). Adapters: [`dir`], a
//! directory in keepstore's own layout; [`s3`], a bucket in keepstore's own object layout; [`memory`]; [`remote`], Keep
//! servers over HTTP; [`volumes`], several stores as one.

use std::path::PathBuf;
use std::time::SystemTime;

use annex_protocol::keep::{BlockHash, Locator};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;

mod block;
pub mod dir;
pub mod memory;
pub mod remote;
pub mod s3;
mod verify;
pub mod volumes;

pub use block::{Block, TooLarge};
pub use verify::Verifier;

/// A place that keeps blocks.
///
/// Every method may be called from many tasks and, where the adapter says so, from many processes at once. No call
/// stalls the runtime. A call that was cancelled has either happened or left nothing that is visible.
#[async_trait]
pub trait BlockStore: Send + Sync + 'static {
    /// Returns the name for messages: a path or an address.
    fn name(&self) -> String;

    /// Begins a block whose bytes are to come.
    async fn writer(&self) -> Result<Box<dyn BlockWriter>, StoreError>;

    /// Puts small blocks in place whose bytes are at hand, as [`BlockWriter::finish`] does, but need not make them
    /// durable: that is done for all at once by [`BlockStore::sync`], and until then the caller keeps the bytes elsewhere.
    async fn place(&self, blocks: Vec<(Block, Bytes)>) -> Result<(), StoreError> {
        for (block, bytes) in blocks {
            let mut writer = self.writer().await?;
            writer.write(bytes).await?;
            writer.finish(block).await?;
        }
        Ok(())
    }

    /// Makes durable what [`BlockStore::place`] had put in place before this call.
    async fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Reads `block` from byte `from` on; `None` when the store has none of that name.
    ///
    /// The whole block is read and checked whatever `from` is, and its last bytes are given out only when size and hash
    /// are right: a stream that ends without an error gave the block's true bytes. A wrong block is set aside (it is
    /// then no longer in the store), reported in the log, and the stream ends in [`StoreError::Damaged`]. A sound block of
    /// another size than the caller named stays: [`StoreError::Size`].
    /// At most about `ahead` bytes (and never fewer than one read) are read before they are asked for.
    async fn read(&self, block: Block, from: u32, ahead: usize) -> Result<Option<BlockBytes>, StoreError>;

    /// Returns the first bytes of a block, at most `size`, **unverified**; `None` when it is not there.
    async fn peek(&self, hash: BlockHash, size: usize) -> Result<Option<Bytes>, StoreError>;

    /// Returns those of `blocks` that are not in the store, or have another size there. Contents are not read.
    async fn missing(&self, blocks: &[Block]) -> Result<Vec<Block>, StoreError>;

    /// Returns the store as one on this machine's disks, if it is.
    fn here(&self) -> Option<&dyn BlocksHere> {
        None
    }

    /// Returns the size of a block that is in place and when it was last written or touched; its content is not read.
    async fn stat(&self, hash: BlockHash) -> Result<Option<Stat>, StoreError> {
        let mut listing = self.list(&hash.to_string()).await?;
        while let Some(listed) = listing.try_next().await? {
            if listed.hash == hash && listed.state == State::Live {
                return Ok(Some(Stat { size: listed.size, time: listed.time }));
            }
        }
        Ok(None)
    }

    /// Renews the time of a block that is in place; false when it is not there.
    ///
    /// A store that can do so without writing the block again should.
    async fn touch(&self, hash: BlockHash) -> Result<bool, StoreError> {
        let Some(block) = self.stat(hash).await?.and_then(|stat| Block::try_from(&Locator::new(hash, stat.size)).ok())
        else {
            return Ok(false);
        };
        let Some(mut bytes) = self.read(block, 0, 0).await? else { return Ok(false) };
        let mut writer = self.writer().await?;
        while let Some(bytes) = bytes.try_next().await? {
            writer.write(bytes).await?;
        }
        writer.finish(block).await.map(|_| true)
    }

    /// Moves a block to the trash, to be deleted for good from `deadline` on; false when it is not there.
    ///
    /// With `unless_since` a block that was written or touched at that time or later stays, and the answer is false.
    async fn trash(
        &self,
        hash: BlockHash,
        deadline: SystemTime,
        unless_since: Option<SystemTime>,
    ) -> Result<bool, StoreError>;

    /// Brings a block back from the trash; false when it is not there. A block that is in place stays.
    async fn untrash(&self, hash: BlockHash) -> Result<bool, StoreError>;

    /// Returns what the trash holds of a block with a deadline of `due` or before, marked so that each can be deleted for
    /// itself: a copy that comes into the trash later is never meant by the mark.
    ///
    /// Marked copies are still in the trash: they can be brought back until they are deleted, and marked again.
    async fn condemn(&self, hash: BlockHash, due: SystemTime) -> Result<Vec<Condemned>, StoreError>;

    /// Deletes a copy for good; false when it was brought back or marked anew meanwhile.
    async fn delete(&self, copy: Condemned) -> Result<bool, StoreError>;

    /// Lists blocks whose name begins with `prefix` (hex digits), in no certain order.
    ///
    /// Blocks that come or go meanwhile may or may not be listed; all others are, once.
    async fn list(&self, prefix: &str) -> Result<BoxStream<'static, Result<Listed, StoreError>>, StoreError>;

    /// Returns the space of the place.
    async fn space(&self) -> Result<Space, StoreError>;

    /// Returns the block's locator with what it takes to read it from the place: permission signatures, where it has them.
    fn locator(&self, block: Block) -> Locator {
        block.locator()
    }

    /// Takes note of a locator that may carry such a signature.
    fn learn(&self, _locator: &Locator) {}
}

/// Blocks on this machine's disks.
pub trait BlocksHere: Send + Sync {
    /// Does what [`BlockStore::missing`] does. Blocks for a moment.
    fn lacking(&self, blocks: &[Block]) -> Result<Vec<Block>, StoreError>;

    /// Returns the verified bytes of a block, as [`BlockStore::read`] does, all at once. Blocks.
    fn fetch(&self, block: Block) -> Result<Option<Vec<Bytes>>, StoreError>;
}

/// The verified bytes of a block.
pub type BlockBytes = BoxStream<'static, Result<Bytes, StoreError>>;

/// A block being written. Dropped unfinished, it leaves nothing.
#[async_trait]
pub trait BlockWriter: Send + Sync {
    /// Is told, before [`BlockWriter::finish`], the BLAKE3 of all bytes, by which a store may check them when it reads.
    fn know(&mut self, _blake3: [u8; 32]) {}

    /// Takes the next bytes; waits while the store cannot keep up.
    ///
    /// After an error only dropping makes sense.
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError>;

    /// Puts the block in place under `block`, the name and size that the caller knows it to have.
    ///
    /// When this returns, the block is durable. If an equal block is there already its time is renewed and the new copy
    /// is dropped; what stands there is compared byte by byte. If it is damaged, it is set aside and replaced; if
    /// it is sound and yet different, the answer is [`StoreError::Collision`] and nothing changes.
    async fn finish(self: Box<Self>, block: Block) -> Result<Placed, StoreError>;
}

/// How a block came to be in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// It was not there before.
    New,
    /// An equal one was there.
    Existing,
    /// A damaged one was there and was set aside.
    Repaired,
}

/// One block of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name and the size it has in the store, which is the true one only if the block is sound.
    pub hash: BlockHash,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written or touched (for damaged ones: set aside).
    pub time: SystemTime,
    /// Where it stands.
    pub state: State,
}

/// A block in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Its size in bytes, which is the true one only if the block is sound.
    pub size: u64,
    /// When it was last written or touched.
    pub time: SystemTime,
}

/// Where a listed block stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// In place.
    Live,
    /// In the trash until the deadline.
    Trashed(SystemTime),
    /// Set aside since its bytes were wrong.
    Damaged,
}

/// A copy of a block in the trash that is about to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condemned {
    /// The block.
    pub hash: BlockHash,
    /// The copy's size in bytes.
    pub size: u64,
    /// Tells it from other copies of the same block.
    pub mark: u64,
}

/// Space of a block store, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// All there is.
    pub total: u64,
    /// What blocks may still take.
    pub free: u64,
}

impl Space {
    /// The space of a place whose end nobody knows.
    pub const ENDLESS: Self = Self { total: u64::MAX, free: u64::MAX };

    /// Tells whether nobody knows of an end.
    pub fn is_endless(self) -> bool {
        self == Self::ENDLESS
    }
}

/// Why a block store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no store at the place.
    #[error("no Keep store at {}", .path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// No room is left.
    #[error("the Keep store {store} is full")]
    Full {
        /// The store.
        store: String,
    },
    /// The place refuses to be written.
    #[error("the Keep store {store} cannot be written: {operation} {}: {source}", .path.display())]
    Unwritable {
        /// The store.
        store: String,
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A block's bytes are not what its name says; it was set aside.
    #[error("block {block} of the Keep store {store} is damaged: {reason}")]
    Damaged {
        /// The store.
        store: String,
        /// The block.
        block: Block,
        /// What is wrong.
        reason: String,
    },
    /// Another content with the same MD5 is in place.
    #[error("block {block} of the Keep store {store} holds another content with the same MD5")]
    Collision {
        /// The store.
        store: String,
        /// The block.
        block: Block,
    },
    /// A block that is needed is not in the store.
    #[error("block {block} is missing from the Keep store {store}")]
    Gone {
        /// The store.
        store: String,
        /// The block.
        block: Block,
    },
    /// A block is sound, and has not the size that the caller named.
    #[error("block {} has {size} bytes, not {}", .block.hash, .block.size)]
    Size {
        /// What the caller named.
        block: Block,
        /// The block's true size in bytes.
        size: u64,
    },
    /// The place cannot be asked now.
    #[error("the Keep store {store} is away: {reason}")]
    Away {
        /// The store.
        store: String,
        /// Why.
        reason: String,
    },
    /// There is nowhere to write to.
    #[error("no Keep store that may be written has what was asked for")]
    Nowhere,
    /// Another failure of the system.
    #[error("Keep store {store}: {operation} {}: {source}", .path.display())]
    Io {
        /// The store.
        store: String,
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A server did not do what it was asked.
    #[error("the Keep store {store}: {reason}")]
    Failed {
        /// The store.
        store: String,
        /// What it said, or what happened.
        reason: String,
    },
    /// An S3 server failed, or cannot be asked; the text names the bucket.
    #[error("Keep store {0}")]
    Server(#[from] crate::s3::S3Error),
    /// The work was lost in this process (a panic, or the runtime ended).
    #[error("Keep store {store}: the task ended unexpectedly")]
    Lost {
        /// The store.
        store: String,
    },
}
