//! The ports of a block store: blocks by hash.
//!
//! A block is at most 64 MiB; its name is the MD5 of its bytes (`docs/spec/keep-blocks.md` §1). Adapters: [`dir`], a
//! directory in keepstore's own layout; [`s3`], a bucket in keepstore's own object layout; [`memory`]; [`servers`], Keep
//! servers over HTTP; [`volumes`], several stores as one.

use std::time::SystemTime;

use annex_protocol::keep::BlockHash;

mod block;
pub mod dir;
mod error;
pub mod memory;
mod parts;
mod ports;
pub mod s3;
pub mod servers;
mod verify;
pub mod volumes;

pub use block::{Block, TooLarge};
pub use error::StoreError;
pub use parts::StoreParts;
pub use ports::{
    BlockBytes, BlockListing, BlockStore, BlockWriter, Blocks, BlocksHere, Inventory, PlaceUnsynced, Retention,
    SignedLocators,
};
pub use verify::Verifier;

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
    pub state: BlockState,
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
pub enum BlockState {
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
