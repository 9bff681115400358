//! The ports themselves. Every method of every port may be called from many tasks and, where the adapter says so, from many
//! processes at once. No call stalls the runtime, except where it says that it blocks. A call that was cancelled has either
//! happened or left nothing that is visible.

use std::time::SystemTime;

use annex_protocol::keep::{BlockHash, Locator};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::{Block, Condemned, Listed, Placed, Space, Stat, StoreError};

/// The three ports that every block store has. A type that implements them has this one by itself.
pub trait BlockStore: Blocks + Inventory + Retention {}

impl<T: Blocks + Inventory + Retention> BlockStore for T {}

/// Writes and reads blocks.
#[async_trait]
pub trait Blocks: Send + Sync + 'static {
    /// Returns the name for messages: a path or an address.
    fn name(&self) -> String;

    /// Begins a block whose bytes are to come.
    async fn writer(&self) -> Result<Box<dyn BlockWriter>, StoreError>;

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
}

/// Tells which blocks are there and how much room is left.
#[async_trait]
pub trait Inventory: Send + Sync + 'static {
    /// Returns the size of a block that is in place and when it was last written or touched; its content is not read.
    async fn stat(&self, hash: BlockHash) -> Result<Option<Stat>, StoreError>;

    /// Lists blocks whose name begins with `prefix` (hex digits), in no certain order.
    ///
    /// Blocks that come or go meanwhile may or may not be listed; all others are, once.
    async fn list(&self, prefix: &str) -> Result<BlockListing, StoreError>;

    /// Returns the space of the place.
    async fn space(&self) -> Result<Space, StoreError>;
}

/// Decides how long blocks stay: into the trash, back, and away for good.
#[async_trait]
pub trait Retention: Send + Sync + 'static {
    /// Renews the time of a block that is in place; false when it is not there.
    async fn touch(&self, hash: BlockHash) -> Result<bool, StoreError>;

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

    /// Marks the copies of a block in the trash whose deadline is `due` or before, and returns them. Each mark names one
    /// copy, so [`Retention::delete`] never deletes a copy that came into the trash later.
    ///
    /// Marked copies are still in the trash: they can be brought back until they are deleted, and marked again.
    async fn condemn(&self, hash: BlockHash, due: SystemTime) -> Result<Vec<Condemned>, StoreError>;

    /// Deletes a copy for good; false when it was brought back or marked anew meanwhile.
    async fn delete(&self, copy: Condemned) -> Result<bool, StoreError>;
}

/// Puts small blocks in place first and makes many of them durable later, with one wait for the disk.
#[async_trait]
pub trait PlaceUnsynced: Send + Sync + 'static {
    /// Puts small blocks in place, as [`BlockWriter::finish`] does, without making them durable. [`PlaceUnsynced::sync`]
    /// does that for all at once; until then the caller keeps the bytes durable elsewhere.
    async fn place(&self, blocks: Vec<(Block, Bytes)>) -> Result<(), StoreError>;

    /// Makes all blocks durable that [`PlaceUnsynced::place`] put in place before this call.
    async fn sync(&self) -> Result<(), StoreError>;
}

/// Looks at blocks on this machine's disks from the thread that asks.
pub trait BlocksHere: Send + Sync + 'static {
    /// Does what [`Blocks::missing`] does. Blocks for a moment.
    fn lacking(&self, blocks: &[Block]) -> Result<Vec<Block>, StoreError>;

    /// Returns the verified bytes of a block, as [`Blocks::read`] does, all at once. Blocks.
    fn fetch(&self, block: Block) -> Result<Option<Vec<Bytes>>, StoreError>;
}

/// Knows the permission signatures without which servers do not give blocks out.
pub trait SignedLocators: Send + Sync + 'static {
    /// Returns the block's locator, with its signature if one is known.
    fn locator(&self, block: Block) -> Locator;

    /// Notes the signature of a locator, if it has one.
    fn learn(&self, locator: &Locator);
}

/// The verified bytes of a block.
pub type BlockBytes = BoxStream<'static, Result<Bytes, StoreError>>;

/// The blocks that a store lists.
pub type BlockListing = BoxStream<'static, Result<Listed, StoreError>>;

/// A block being written. Dropped unfinished, it leaves nothing.
#[async_trait]
pub trait BlockWriter: Send + Sync {
    /// Takes the next bytes; waits while the store cannot keep up.
    ///
    /// After an error the writer must be dropped.
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError>;

    /// Puts the block in place under `block`, the name and size that the caller knows it to have; `blake3` is the BLAKE3 of
    /// all bytes, if the caller knows it: a store may check them by it when it reads.
    ///
    /// When this returns, the block is durable. If an equal block is there already its time is renewed and the new copy
    /// is dropped; what stands there is compared byte by byte. If it is damaged, it is set aside and replaced; if
    /// it is sound and yet different, the answer is [`StoreError::Collision`] and nothing changes.
    async fn finish(self: Box<Self>, block: Block, blake3: Option<[u8; 32]>) -> Result<Placed, StoreError>;
}
