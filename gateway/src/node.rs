//! The port `Node`: a place that holds the content of a repository's keys.
//!
//! A node knows nothing of doors, users or other nodes. Its adapters are the files of the folder `node`.

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

pub mod annex;
pub mod arvados;
mod chunks;
pub mod directory;
pub mod external;
pub mod keep;
mod lazy;
pub mod measured;
pub mod p2p;
pub mod p2p_http;
mod patience;
mod peer;
mod relock;
pub mod s3;
mod spooling;
mod turns;
mod window;

use chunks::{Chunking, unknown_count};
pub use lazy::{Lazy, Opener};
pub use patience::Patience;
pub use peer::Peer;
use relock::lock_again;
pub use spooling::Spooling;
use spooling::{file_name, kept_name};
use turns::{Follower, Turn, Turns};
use window::Window;

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

/// Room for content, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// What the place has in all.
    pub total: u64,
    /// What can still be stored there: nothing means that the node is full.
    pub free: u64,
    /// The file system, by its number on this machine: nodes on the same one share its room.
    pub device: Option<u64>,
}

impl Space {
    /// Looks at the file system of a directory. Blocks.
    fn at(path: &Path) -> Result<Self, NodeError> {
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

/// How busy a node is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Load {
    /// Transfers of content from it and to it that are under way.
    pub transfers: u64,
    /// Bytes a second that it gave lately; `None` if nothing was read from it for a while.
    pub rate: Option<f64>,
}

/// Why a node did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
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

impl NodeError {
    /// Makes a failure with a file an error that names the file.
    pub fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |error| match error.into() {
            Self::Unreachable(cause) => Self::Unreachable(format!("{path}: {cause}")),
            Self::Full(cause) => Self::Full(format!("{path}: {cause}")),
            Self::Failed(cause) => Self::Failed(format!("{path}: {cause}")),
        }
    }

    /// Makes the error from what a node says of itself, of which a line is kept.
    fn said(text: &[u8]) -> Self {
        const ENOUGH: usize = 500;
        let text = String::from_utf8_lossy(text);
        let printable = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
        let text: String = printable.take(ENOUGH).collect();
        let no_room = ["not enough free space", "No space left on device", "Disk quota exceeded"];
        match no_room.iter().any(|words| text.contains(words)) {
            true => Self::Full(text),
            false => Self::Failed(text),
        }
    }
}

impl From<io::Error> for NodeError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Unreachable(error.to_string()),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// How a node is asked for somebody who came through other gateways.
pub enum Way {
    /// As always.
    Same,
    /// As this node, which passes on where the request came from.
    Through(Arc<dyn Node>),
    /// Not at all: it leads back to one of these gateways.
    Back,
}

/// Returns a key to ask a node about that can do nothing but answer; it is that of empty content.
fn probe_key() -> Result<Key, NodeError> {
    let text = b"SHA256-s0--e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    Key::parse(text).map_err(|error| NodeError::Failed(error.to_string()))
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

    /// The same, of a key that is the content of `file`: for nodes that decide by names in turn, as another cluster does.
    async fn put_as(&self, key: &Key, file: &AssociatedFile) -> Result<Box<dyn Upload>, NodeError> {
        let _ = file;
        self.put(key).await
    }

    /// Starts an upload of a complete file. `None` from a node that takes content piece by piece.
    ///
    /// A node that answers with something would write the pieces to a temporary file: whoever has such a file for others,
    /// too, gives it to all of them.
    async fn put_file(&self, key: &Key) -> Result<Option<Box<dyn FileUpload>>, NodeError> {
        let _ = key;
        Ok(None)
    }

    /// Removes a key's content. The content not being there is success.
    async fn remove(&self, key: &Key) -> Result<(), NodeError>;

    /// Returns the room there is, or `None` where nobody knows of an end. An error means that the node cannot be used now.
    async fn space(&self) -> Result<Option<Space>, NodeError>;

    /// Returns how many bytes of content the node holds for all repositories together; `None` if it does not count them.
    async fn held(&self) -> Result<Option<u64>, NodeError> {
        Ok(None)
    }

    /// Returns how busy the node is, as far as that is counted.
    fn load(&self) -> Load {
        Load::default()
    }

    /// Is told why an upload does without this node though it was not asked, so that it can be counted.
    fn passed_over(&self, why: &NodeError) {
        let _ = why;
    }

    /// Takes a copy out of use whose bytes are not the key's, keeping them for people to look at where that can be done.
    /// The node does not have the key afterwards.
    async fn set_aside(&self, key: &Key) -> Result<(), NodeError> {
        self.remove(key).await
    }

    /// Removes a key's content, and returns others that the node says have lost it too: a cluster has nodes of its own.
    async fn remove_and_tell(&self, key: &Key) -> Result<Vec<Uuid>, NodeError> {
        self.remove(key).await.map(|()| Vec::new())
    }

    /// Keeps others than this gateway from removing a key's content; `None` if the content is not there.
    ///
    /// The gateway keeps its own removals apart from locks, so a node that nobody else removes from has nothing to do.
    async fn lock(&self, key: &Key) -> Result<Option<Box<dyn Hold>>, NodeError> {
        Ok(self.present(key).await?.then(|| Box::new(OnlyOurs) as Box<dyn Hold>))
    }

    /// Tells how to ask this node for somebody who came through these gateways (their UUIDs, and those of clusters), so
    /// that no request goes round in a circle.
    fn way(&self, gateways: &BTreeSet<Uuid>) -> Way {
        let _ = gateways;
        Way::Same
    }
}

/// Content of a node kept from being removed. Dropped without an end, it lasts until the node's own deadline.
#[async_trait]
pub trait Hold: Send + Sync {
    /// Makes it last on, for [`LOCKED`](crate::lock_time::LOCKED) at least.
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
pub trait Upload: Send + Sync {
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

    /// Tells whether the node stores blocks. If none of an upload does, its content is not cut, and no block is hashed.
    fn takes_blocks(&self) -> bool {
        false
    }

    /// Takes the next bytes, or the end of a block, in the order of the content. Waits while the node is behind.
    ///
    /// Blocks are cut at multiples of 64 MiB from the start of the content, and at its end.
    async fn piece(&mut self, piece: Piece) -> Result<(), NodeError>;

    /// Makes the content present and durable: when this returns, the node has it.
    async fn commit(self: Box<Self>) -> Result<(), NodeError>;

    /// Commits, and returns others that the node says store it too: a cluster stores on nodes of its own.
    async fn commit_and_tell(self: Box<Self>) -> Result<Vec<Uuid>, NodeError> {
        self.commit().await.map(|()| Vec::new())
    }

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
