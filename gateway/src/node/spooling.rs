//! An upload into a temporary file, for whoever can only take a complete one.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::Arc;

use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use futures_util::StreamExt;
use keep_store::base::stream::Piece;
use keep_store::base::task::blocking;
use md5::{Digest, Md5};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::io::ReaderStream;

use super::error::NodeError;
use super::port::{ByteStream, FileUpload, Incoming, Pieces, Upload};
use crate::spool::{LazySpool, Spool, SpoolError, SpoolFile};

/// An upload into a temporary file. Its commit completes the file, which lasts as long as somebody holds it.
pub struct Spooling {
    /// Under which name the spool keeps what came of an upload that broke off.
    kept: String,
    file: Arc<SpoolFile>,
    writer: Option<File>,
    /// How much an earlier upload left.
    offset: u64,
    size: u64,
}

impl Spooling {
    /// Starts a file for a key's content, going on with what an earlier upload left for the same owner.
    pub async fn start(spool: &Spool, owner: &Uuid, key: &Key) -> Result<Self, NodeError> {
        let kept = kept_name("put", owner, key);
        let (spool, name, taken) = (spool.clone(), file_name(key), kept.clone());
        let placed = blocking(move || {
            let file = spool.file(&name)?;
            spool.take(&taken, &file);
            let offset = file.size();
            Ok::<_, NodeError>((file, offset))
        });
        let (file, offset) = placed.await?;
        Ok(Self { kept, file: Arc::new(file), writer: None, offset, size: offset })
    }

    /// Returns how many bytes an earlier upload left.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the file.
    pub fn file(&self) -> Arc<SpoolFile> {
        Arc::clone(&self.file)
    }

    async fn writer(&mut self) -> Result<&mut File, NodeError> {
        if self.writer.is_none() {
            let path = self.file.path();
            let opened = File::options().create(true).append(true).open(path).await;
            self.writer = Some(opened.map_err(NodeError::at(path))?);
        }
        self.writer.as_mut().ok_or_else(|| NodeError::Failed("the temporary file was lost".to_owned()))
    }

    /// Ends writing; afterwards the file has all bytes.
    async fn close(&mut self) -> Result<(), NodeError> {
        let flushed = self.writer().await?.flush().await;
        self.writer = None;
        flushed.map_err(NodeError::at(self.path()))
    }

    fn path(&self) -> &Path {
        self.file.path()
    }
}

#[async_trait]
impl Upload for Spooling {
    async fn kept(&self) -> Result<ByteStream, NodeError> {
        let file = File::open(self.path()).await.map_err(NodeError::at(self.path()))?;
        Ok(ReaderStream::new(file.take(self.offset)).boxed())
    }

    async fn restart(&mut self) -> Result<(), NodeError> {
        self.writer = None;
        (self.offset, self.size) = (0, 0);
        let path = self.path().to_path_buf();
        match blocking(move || fs::remove_file(path)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(NodeError::at(self.path())(error)),
            _ => Ok(()),
        }
    }

    async fn announce(&mut self, size: u64) -> Result<(), NodeError> {
        let file = self.file();
        Ok(blocking(move || file.promise(size)).await?)
    }

    async fn piece(&mut self, piece: Piece) -> Result<(), NodeError> {
        let Piece::Data(bytes) = piece else { return Ok(()) };
        let written = self.writer().await?.write_all(&bytes).await;
        self.size += bytes.len() as u64;
        written.map_err(NodeError::at(self.path()))
    }

    async fn commit(mut self: Box<Self>) -> Result<Vec<Uuid>, NodeError> {
        self.close().await?;
        Ok(Vec::new())
    }

    async fn suspend(mut self: Box<Self>) -> Result<(), NodeError> {
        if self.size == 0 {
            return Ok(());
        }
        self.close().await?;
        Ok(blocking(move || self.file.keep(&self.kept)).await?)
    }

    async fn abort(self: Box<Self>) -> Result<(), NodeError> {
        Ok(())
    }
}

/// An upload into a temporary file of its own, for a node that takes only complete ones.
struct ByFile {
    spooling: Spooling,
    taker: Box<dyn FileUpload>,
}

impl Incoming {
    /// Returns the upload as one that takes pieces, by way of a temporary file of the owner's if the node needs one.
    pub async fn in_pieces(self, spool: &LazySpool, owner: &Uuid, key: &Key) -> Result<Pieces, NodeError> {
        match self {
            Self::Pieces(pieces) => Ok(pieces),
            Self::WholeFile(taker) => {
                let spooling = Spooling::start(&spool.open().await?, owner, key).await?;
                let kept = spooling.offset();
                Ok(Pieces { upload: Box::new(ByFile { spooling, taker }), kept, takes_blocks: false })
            }
        }
    }
}

#[async_trait]
impl Upload for ByFile {
    async fn kept(&self) -> Result<ByteStream, NodeError> {
        self.spooling.kept().await
    }

    async fn restart(&mut self) -> Result<(), NodeError> {
        self.spooling.restart().await
    }

    async fn announce(&mut self, size: u64) -> Result<(), NodeError> {
        self.spooling.announce(size).await
    }

    async fn piece(&mut self, piece: Piece) -> Result<(), NodeError> {
        self.spooling.piece(piece).await
    }

    async fn commit(self: Box<Self>) -> Result<Vec<Uuid>, NodeError> {
        let Self { mut spooling, taker } = *self;
        spooling.close().await?;
        let file = spooling.file();
        taker.store(file.path(), file.size()).await?;
        Ok(Vec::new())
    }

    async fn suspend(self: Box<Self>) -> Result<(), NodeError> {
        Box::new(self.spooling).suspend().await
    }

    async fn abort(self: Box<Self>) -> Result<(), NodeError> {
        Box::new(self.spooling).abort().await
    }
}

/// Returns what git-annex calls the file of a key: there are programs that store a file under the name that it has.
pub(super) fn file_name(key: &Key) -> OsString {
    OsString::from_vec(key.file_name())
}

/// Returns the name under which the spool keeps what came of a transfer that broke off. The owner's own: what one
/// repository got is nothing to another.
pub(super) fn kept_name(direction: &str, owner: &Uuid, key: &Key) -> String {
    let hex: String = Md5::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{direction}-{owner}-{hex}")
}

impl From<SpoolError> for NodeError {
    fn from(error: SpoolError) -> Self {
        match io::ErrorKind::from(&error) {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}
