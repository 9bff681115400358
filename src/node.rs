//! The port `Node`: a place that holds the content of a repository's keys.
//!
//! A node knows nothing of doors, users or other nodes. Its adapters are the files of the folder `node`.

use std::io;

use annex_protocol::key::Key;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::stream::Piece;

pub mod external;
pub mod keep;
mod lazy;

pub use lazy::{Lazy, Opener};

/// Bytes on their way from a node.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// A key's content, or its end from some offset on.
pub struct Content {
    /// The size of the whole content in bytes, whatever the offset.
    pub size: u64,
    /// The bytes from the offset to the end. An error, or an end before all bytes came, means that this copy is not
    /// good for the rest; what came before is.
    pub stream: ByteStream,
}

/// Why a node did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// It cannot be asked now; whether it has the content is unknown.
    #[error("not reachable: {0}")]
    Unreachable(String),
    /// It has no room.
    #[error("full: {0}")]
    Full(String),
    /// It was asked, and failed.
    #[error("{0}")]
    Failed(String),
}

/// A place that holds content.
#[async_trait]
pub trait Node: Send + Sync {
    /// Tells whether the node has all of a key's content now. Absent means proved absent; not knowing is an error.
    async fn present(&self, key: &Key) -> Result<bool, NodeError>;

    /// Returns a key's content from `offset` on, or `None` if the node does not have it.
    async fn get(&self, key: &Key, offset: u64) -> Result<Option<Content>, NodeError>;

    /// Starts an upload, going on where an earlier one that broke off left. Several at once for one key are no error.
    async fn put(&self, key: &Key) -> Result<Box<dyn Upload>, NodeError>;

    /// Removes a key's content. The content not being there is success.
    async fn remove(&self, key: &Key) -> Result<(), NodeError>;

    /// Keeps others than this gateway from removing a key's content; `None` if the content is not there.
    ///
    /// The gateway keeps its own removals apart from locks, so a node that nobody else removes from has nothing to do.
    async fn lock(&self, key: &Key) -> Result<Option<Box<dyn Hold>>, NodeError> {
        Ok(self.present(key).await?.then(|| Box::new(OnlyOurs) as Box<dyn Hold>))
    }
}

/// Content of a node kept from being removed. Dropped without an end, it lasts until the node's own deadline.
#[async_trait]
pub trait Hold: Send + Sync {
    /// Makes it last on, for ten minutes at least.
    async fn renew(&mut self) -> Result<(), NodeError>;

    /// Gives it back.
    async fn release(self: Box<Self>) -> Result<(), NodeError>;
}

/// The hold on a node that only this gateway removes from.
struct OnlyOurs;

#[async_trait]
impl Hold for OnlyOurs {
    async fn renew(&mut self) -> Result<(), NodeError> {
        Ok(())
    }

    async fn release(self: Box<Self>) -> Result<(), NodeError> {
        Ok(())
    }
}

/// An upload to a node. Dropped without an end, it may be gone on with later or not.
#[async_trait]
pub trait Upload: Send {
    /// Returns how many bytes from the start the node kept of an earlier upload.
    fn offset(&self) -> u64;

    /// Returns the bytes that were kept. A node that cannot give them back says 0 to [`Upload::offset`] and leaves out
    /// of what it is sent what it has already.
    async fn kept(&self) -> Result<ByteStream, NodeError>;

    /// Forgets the bytes that were kept: the upload starts at the beginning.
    async fn restart(&mut self) -> Result<(), NodeError>;

    /// Is told, before the first piece, that the whole content will have `size` bytes from its start.
    async fn announce(&mut self, size: u64) -> Result<(), NodeError> {
        let _ = size;
        Ok(())
    }

    /// Takes the next bytes, or the end of a block, in the order of the content. Waits while the node is behind.
    ///
    /// Blocks are cut at multiples of 64 MiB from the start of the content, and at its end.
    async fn piece(&mut self, piece: Piece) -> Result<(), NodeError>;

    /// Makes the content present and durable: when this returns, the node has it.
    async fn commit(self: Box<Self>) -> Result<(), NodeError>;

    /// Keeps what came so far, for a later upload to go on with.
    async fn suspend(self: Box<Self>) -> Result<(), NodeError>;

    /// Leaves nothing behind.
    async fn abort(self: Box<Self>) -> Result<(), NodeError>;
}
