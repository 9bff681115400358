//! Content to a program: gathered in a temporary file, stored when the gateway knows that it is right.

use std::fs;
use std::io;
use std::sync::Arc;

use annex_protocol::external::{Direction, Response};
use annex_protocol::key::Key;
use async_trait::async_trait;
use futures_util::StreamExt;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::io::ReaderStream;

use super::ask::Watch;
use super::layout::Ask;
use super::state::Kind;
use super::{Inner, failed, file_name, unusable};
use crate::node::{ByteStream, NodeError, Upload};
use crate::stream::{Piece, SpoolFile};
use crate::task::blocking;

/// An upload to a program.
pub(super) struct ExternalUpload {
    node: Arc<Inner>,
    key: Key,
    store: Ask,
    file: SpoolFile,
    writer: Option<File>,
    /// How much an earlier upload left.
    offset: u64,
    size: u64,
}

impl ExternalUpload {
    pub(super) async fn start(node: &Arc<Inner>, key: &Key) -> Result<Self, NodeError> {
        let (spool, name) = (node.spool.clone(), node.kept_name("put", key));
        let file_name = file_name(key);
        let placed = blocking(move || {
            let file = spool.file(&file_name)?;
            spool.take(&name, &file);
            let offset = file.size();
            Ok::<_, NodeError>((file, offset))
        });
        let (file, offset) = placed.await?;
        let store = node.layout.transfer(Direction::Store, key, file.path());
        let store = store.ok_or_else(|| {
            NodeError::Failed("its name holds a space, which the protocol of special remotes cannot carry".to_owned())
        })?;
        Ok(Self { node: Arc::clone(node), key: key.clone(), store, file, writer: None, offset, size: offset })
    }

    async fn writer(&mut self) -> Result<&mut File, NodeError> {
        if self.writer.is_none() {
            let path = self.file.path();
            let opened = File::options().create(true).append(true).open(path).await;
            self.writer = Some(opened.map_err(|error| self.fail(&error))?);
        }
        self.writer.as_mut().ok_or_else(|| NodeError::Failed("the temporary file was lost".to_owned()))
    }

    /// Ends writing; afterwards the file has all bytes.
    async fn close(&mut self) -> Result<(), NodeError> {
        let flushed = self.writer().await?.flush().await;
        self.writer = None;
        flushed.map_err(|error| self.fail(&error))
    }

    fn fail(&self, error: &io::Error) -> NodeError {
        let text = format!("{}: {error}", self.file.path().display());
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => NodeError::Full(text),
            _ => NodeError::Failed(text),
        }
    }
}

#[async_trait]
impl Upload for ExternalUpload {
    fn offset(&self) -> u64 {
        self.offset
    }

    async fn kept(&self) -> Result<ByteStream, NodeError> {
        let file = File::open(self.file.path()).await.map_err(|error| self.fail(&error))?;
        Ok(ReaderStream::new(file.take(self.offset)).boxed())
    }

    async fn restart(&mut self) -> Result<(), NodeError> {
        self.writer = None;
        (self.offset, self.size) = (0, 0);
        let path = self.file.path().to_path_buf();
        match blocking(move || fs::remove_file(path)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.fail(&error)),
            _ => Ok(()),
        }
    }

    async fn announce(&mut self, size: u64) -> Result<(), NodeError> {
        Ok(self.file.promise(size)?)
    }

    async fn piece(&mut self, piece: Piece) -> Result<(), NodeError> {
        let Piece::Data(bytes) = piece else { return Ok(()) };
        let written = self.writer().await?.write_all(&bytes).await;
        self.size += bytes.len() as u64;
        written.map_err(|error| self.fail(&error))
    }

    async fn commit(mut self: Box<Self>) -> Result<(), NodeError> {
        self.close().await?;
        let watch = Watch { size: self.size, ..Watch::default() };
        match self.node.pool.run(self.store.clone(), watch).await? {
            Response::TransferSuccess { .. } => {}
            Response::TransferFailure { message, .. } => return Err(failed("STORE", message.as_bytes())),
            other => return Err(unusable("STORE", &other)),
        }
        // One more question a key: a client drops its copy on the strength of this answer.
        if !self.node.has(&self.key).await? {
            return Err(NodeError::Failed(
                "the program said that it had stored it, and now that it has not".to_owned(),
            ));
        }
        self.node.state.unset(Kind::Bad, self.key.as_bytes()).await
    }

    async fn suspend(mut self: Box<Self>) -> Result<(), NodeError> {
        if self.size == 0 {
            return Ok(());
        }
        self.close().await?;
        let (name, file) = (self.node.kept_name("put", &self.key), self.file);
        Ok(blocking(move || file.keep(&name)).await?)
    }

    async fn abort(self: Box<Self>) -> Result<(), NodeError> {
        Ok(())
    }
}
