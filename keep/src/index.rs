//! The ports of an index: which entries a store holds, and who refers to which block.
//!
//! The index is a cache of what the manifest blocks say, and can be rebuilt from them; only unfinished uploads, leases,
//! the deadlines of trashed blocks, and for a moment the bytes of small ones ([`Holding`]) stand nowhere else. Where the
//! blocks are on servers, the index is no cache but the record itself, and has their signatures ([`Signatures`]).
//!
//! What every index does is in five small ports, [`Entries`], [`References`], [`Uploads`], [`Deadlines`] and [`Rebuilding`];
//! an [`Index`] is all of them. What only some can do is in ports of its own, [`Holding`] and [`IndexHere`], which stand
//! beside the index in [`IndexParts`]. No method has a default, so the compiler finds a decorator that forgets to forward one.
//!
//! Adapters: [`sqlite`]; [`nothing`], for entries recorded elsewhere.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use crate::store::Block;

mod error;
pub mod nothing;
mod ports;
pub mod sqlite;

pub use error::IndexError;
pub use ports::{Deadlines, Entries, Holding, Index, IndexHere, Rebuilding, References, Signatures, Uploads};

/// An index, and the further ports that it has.
#[derive(Clone)]
pub struct IndexParts {
    /// The index.
    pub index: Arc<dyn Index>,
    /// The bytes of small blocks, if it holds them.
    pub holding: Option<Arc<dyn Holding>>,
    /// The same index seen from the thread that asks, if it is on this machine's disks.
    pub here: Option<Arc<dyn IndexHere>>,
}

impl IndexParts {
    /// Makes the parts of an index that can do no more than every index.
    pub fn plain(index: impl Index) -> Self {
        Self { index: Arc::new(index), holding: None, here: None }
    }
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
