//! What can go wrong with a block store.

use std::path::PathBuf;

use super::Block;

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
    #[error("Keep store {store}: the work was lost")]
    Lost {
        /// The store.
        store: String,
    },
}
