//! The port `Node`: what the gateway asks of a place that holds content, whatever kind of place it is.
//!
//! No method has a default: a decorator that forgets one does not compile.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use keep_store::base::disk;
use keep_store::base::stream::Piece;

use super::error::NodeError;

/// A place that holds content.
#[async_trait]
pub trait Node: Send + Sync {
    /// Tells whether the node has all of a key's content now. Absent means proved absent; not knowing is an error.
    async fn present(&self, key: &Key) -> Result<bool, NodeError>;

    /// Returns a key's content from `offset` on, or `None` if the node does not have it.
    async fn get(&self, key: &Key, offset: u64) -> Result<Option<Content>, NodeError>;

    /// Starts an upload, going on where an earlier one that broke off left. Several at once for one key are no error.
    ///
    /// `file` is a file that has the key as its content, for nodes that decide by names in turn, as another cluster does.
    async fn put(&self, key: &Key, file: &AssociatedFile) -> Result<Incoming, NodeError>;

    /// Removes a key's content, and returns others that the node says have lost it too: a cluster has nodes of its own.
    /// The content not being there is success.
    async fn remove(&self, key: &Key) -> Result<Vec<Uuid>, NodeError>;

    /// Takes a copy out of use whose bytes are not the key's, keeping them for people to look at where that can be done.
    /// The node does not have the key afterwards.
    async fn set_aside(&self, key: &Key) -> Result<(), NodeError>;

    /// Keeps others than this gateway from removing a key's content; `None` if the content is not there.
    ///
    /// The gateway keeps its own removals apart from locks, so a node that nobody else removes from only has to look
    /// whether the content is there.
    async fn lock(&self, key: &Key) -> Result<Option<Box<dyn Hold>>, NodeError>;

    /// Returns how much the node can hold and holds. An error means that the node cannot be used now.
    async fn capacity(&self) -> Result<Capacity, NodeError>;

    /// Tells how to ask this node for a request that came through these gateways (their UUIDs, and those of clusters), so
    /// that no request goes in a circle.
    fn onward(&self, gateways: &BTreeSet<Uuid>) -> Onward;
}

/// An upload to a node, piece by piece. Dropped without an end, it may be gone on with later or not.
#[async_trait]
pub trait Upload: Send + Sync {
    /// Returns the bytes that the node kept of an earlier upload, which are [`Pieces::kept`] many.
    async fn kept(&self) -> Result<ByteStream, NodeError>;

    /// Forgets the bytes that were kept: the upload starts at the beginning.
    async fn restart(&mut self) -> Result<(), NodeError>;

    /// Is told, before the first piece, that the whole content will have `size` bytes from its start.
    async fn announce(&mut self, size: u64) -> Result<(), NodeError>;

    /// Takes the next bytes, or the end of a block, in the order of the content. Waits while the node is behind.
    ///
    /// Blocks are cut at multiples of 64 MiB from the start of the content, and at its end.
    async fn piece(&mut self, piece: Piece) -> Result<(), NodeError>;

    /// Makes the content present and durable: when this returns, the node has it. Returns others that the node says
    /// store it too: a cluster stores on nodes of its own.
    async fn commit(self: Box<Self>) -> Result<Vec<Uuid>, NodeError>;

    /// Keeps what came so far, for a later upload to go on with.
    async fn suspend(self: Box<Self>) -> Result<(), NodeError>;

    /// Leaves nothing behind.
    async fn abort(self: Box<Self>) -> Result<(), NodeError>;
}

/// An upload of a file that somebody else writes.
#[async_trait]
pub trait FileUpload: Send + Sync {
    /// Stores the file, which is complete and verified, of `size` bytes: when this returns, the node has the content.
    async fn store(self: Box<Self>, file: &Path, size: u64) -> Result<(), NodeError>;
}

/// Content of a node kept from being removed. Dropped without an end, it lasts until the node's own deadline.
#[async_trait]
pub trait Hold: Send + Sync {
    /// Renews it: it lasts for [`LOCKED`](crate::lock_time::LOCKED) from now on, at least.
    async fn renew(&mut self) -> Result<(), NodeError>;

    /// Gives it back.
    async fn release(self: Box<Self>) -> Result<(), NodeError>;
}

/// Bytes on their way from a node.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// A key's content, or its end from some offset on.
pub struct Content {
    /// The size of the whole content in bytes, whatever the offset.
    pub size: u64,
    /// The bytes from the offset to the end. An error, or an end before all bytes came, means that this copy is not
    /// good for the rest; what came before is.
    pub stream: ByteStream,
    /// Whether the node checks each byte against a hash of what was stored, before it gives it away.
    pub verified: bool,
}

/// How a node takes content.
pub enum Incoming {
    /// Piece by piece.
    Pieces(Pieces),
    /// As a complete file. Whoever stores on several such nodes writes one file for all of them.
    WholeFile(Box<dyn FileUpload>),
}

/// An upload that was started, and what was known of it at its start.
pub struct Pieces {
    /// The upload.
    pub upload: Box<dyn Upload>,
    /// How many bytes from the start the node kept of an earlier upload. A node that cannot give them back says 0, and
    /// drops from what it is sent the bytes that it has already.
    pub kept: u64,
    /// Whether the node stores blocks. If none of an upload does, its content is not cut, and no block is hashed.
    pub takes_blocks: bool,
}

impl Pieces {
    /// An upload to a node that kept nothing and knows no blocks.
    pub fn fresh(upload: impl Upload + 'static) -> Self {
        Self { upload: Box::new(upload), kept: 0, takes_blocks: false }
    }

    /// Has the upload start at the beginning.
    pub async fn restart(&mut self) -> Result<(), NodeError> {
        self.upload.restart().await?;
        self.kept = 0;
        Ok(())
    }
}

/// How much a node can hold and holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capacity {
    /// The room there is; `None` where nobody knows of an end.
    pub space: Option<Space>,
    /// How many bytes of content the node holds for all repositories together; `None` if it does not count them.
    pub held: Option<u64>,
}

/// Room for content, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// All bytes that the place has, used ones included.
    pub total: u64,
    /// What can still be stored there: nothing means that the node is full.
    pub free: u64,
    /// The file system, by its number on this machine: nodes on the same one share its room.
    pub device: Option<u64>,
}

impl Space {
    /// Looks at the file system of a directory. Blocks.
    pub(super) fn at(path: &Path) -> Result<Self, NodeError> {
        let looked = disk::space(path).and_then(|space| Ok((space, disk::device(path)?)));
        let ((total, free), device) = looked.map_err(NodeError::at(path))?;
        Ok(Self { total, free, device: Some(device) })
    }

    /// Returns what is left of it if `reserve` bytes have to stay free.
    #[must_use]
    pub fn above(self, reserve: u64) -> Self {
        Self { free: self.free.saturating_sub(reserve), ..self }
    }
}

/// How a node is asked for somebody who came through other gateways.
pub enum Onward {
    /// As it is: it leads to no gateway.
    AsIs,
    /// By this node in its place, which passes on where the request came from.
    By(Arc<dyn Node>),
    /// Not at all: it leads back to one of these gateways.
    LeadsBack,
}
