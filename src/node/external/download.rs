//! Content from a program: through a temporary file, as it grows if the program writes it front to back.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use annex_protocol::external::{Direction, Response};
use annex_protocol::hash::Hasher;
use annex_protocol::key::Key;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::io::AsyncSeekExt;
use tokio::task::JoinHandle;
use tokio_util::io::ReaderStream;
use tokio_util::sync::DropGuard;

use super::ask::Watch;
use super::{Inner, failed, unusable};
use crate::node::{ByteStream, Content, NodeError};
use crate::stream::SpoolFile;
use crate::task::blocking;

/// A RETRIEVE under way; dropped, it is given up.
struct Retrieval {
    node: Arc<Inner>,
    key: Key,
    file: Arc<SpoolFile>,
    running: Option<JoinHandle<Result<Response, NodeError>>>,
    _cancel: DropGuard,
}

/// Content that is sent while it is retrieved.
struct Growing {
    retrieval: Retrieval,
    hasher: Option<Hasher>,
    /// What was read and hashed.
    position: u64,
    /// The first byte that is wanted.
    offset: u64,
    size: u64,
}

const READ: usize = 256 << 10;

/// How often a growing file is looked at.
const POLL: Duration = Duration::from_millis(50);

/// Retrieves a key. A file that is complete before its first byte is sent is checked against the key's hash first; of
/// one that is sent as it grows the last bytes are held back until it is known to be right.
pub(super) async fn get(node: &Arc<Inner>, key: &Key, offset: u64) -> Result<Option<Content>, NodeError> {
    let Some(mut retrieval) = Retrieval::start(node, key).await? else { return Ok(None) };
    if let Some(size) = key.content_size().filter(|size| *size > 0)
        && node.pool.is_ordered().await?
        && retrieval.has_begun().await
    {
        let hasher = Hasher::for_key(key);
        let growing = Growing { retrieval, hasher, position: 0, offset, size };
        return Ok(Some(Content { size, stream: growing.stream() }));
    }
    if let Err(error) = retrieval.finish().await {
        // A failure says nothing about presence.
        return if let Ok(false) = node.has(key).await { Ok(None) } else { Err(error) };
    }
    let (path, checked_key) = (Arc::clone(&retrieval.file), key.clone());
    match blocking(move || check(path.path(), &checked_key)).await {
        Ok(Ok(size)) => Ok(Some(Content { size, stream: retrieval.stream(offset.min(size)).await? })),
        Ok(Err(reason)) => {
            node.condemn(key, reason).await?;
            Err(NodeError::Failed(reason.to_owned()))
        }
        Err(error) => Err(retrieval.fail(&error)),
    }
}

impl Retrieval {
    async fn start(node: &Arc<Inner>, key: &Key) -> Result<Option<Self>, NodeError> {
        let (spool, size) = (node.spool.clone(), key.content_size().unwrap_or_default());
        let file = blocking(move || {
            let file = spool.file();
            file.promise(size).map(|()| file)
        });
        let file = Arc::new(file.await?);
        let Some(ask) = node.layout.transfer(Direction::Retrieve, key, file.path()) else { return Ok(None) };
        let watch = Watch { size, file: Some(file.path().into()), ..Watch::default() };
        let cancel = watch.cancelled.clone().drop_guard();
        let (pool, kept) = (Arc::clone(&node.pool), Arc::clone(&file));
        let running = tokio::spawn(async move {
            let done = pool.run(ask, watch).await;
            // The program may write to the end, even when nobody reads.
            drop(kept);
            done
        });
        let (node, key) = (Arc::clone(node), key.clone());
        Ok(Some(Self { node, key, file, running: Some(running), _cancel: cancel }))
    }

    /// Waits for the first byte; false when the program has ended its work, or failed, instead.
    async fn has_begun(&self) -> bool {
        while self.running.as_ref().is_some_and(|running| !running.is_finished()) {
            if self.file.size() > 0 {
                return true;
            }
            tokio::time::sleep(POLL).await;
        }
        false
    }

    /// Waits until the program says that it is done.
    async fn finish(&mut self) -> Result<(), NodeError> {
        let Some(running) = &mut self.running else { return Ok(()) };
        let done = running.await.unwrap_or_else(|lost| Err(NodeError::Unreachable(lost.to_string())));
        self.running = None;
        match done? {
            Response::TransferSuccess { .. } => Ok(()),
            Response::TransferFailure { message, .. } => Err(failed("RETRIEVE", message.as_bytes())),
            other => Err(unusable("RETRIEVE", &other)),
        }
    }

    /// Returns the bytes of the complete file.
    async fn stream(self, offset: u64) -> Result<ByteStream, NodeError> {
        let opened = async {
            let mut file = tokio::fs::File::open(self.file.path()).await?;
            file.seek(SeekFrom::Start(offset)).await?;
            Ok(file)
        };
        match opened.await {
            Ok(file) => Ok(ReaderStream::with_capacity(file, READ)
                .map(move |bytes| {
                    let _lives_until_all_is_read = &self.file;
                    bytes
                })
                .boxed()),
            // A program need not make a file for no bytes.
            Err(error) if is_absent(&error) => Ok(stream::empty().boxed()),
            Err(error) => Err(self.fail(&error)),
        }
    }

    fn fail(&self, error: &io::Error) -> NodeError {
        NodeError::Failed(format!("{}: {error}", self.file.path().display()))
    }
}

impl Growing {
    fn stream(self) -> ByteStream {
        stream::try_unfold(self, |mut growing| async move {
            let bytes = growing.next().await?;
            Ok(bytes.map(|bytes| (bytes, growing)))
        })
        .boxed()
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        while self.position < self.size {
            let bytes = self.read().await?;
            if bytes.is_empty() {
                self.wait().await?;
                continue;
            }
            self.position += bytes.len() as u64;
            if self.position == self.size {
                self.retrieval.finish().await.map_err(io::Error::other)?;
                self.verify().await?;
            }
            let wanted = self.position.saturating_sub(self.offset).min(bytes.len() as u64);
            if wanted > 0 {
                let skipped = bytes.len() - usize::try_from(wanted).unwrap_or_default();
                return Ok(Some(bytes.slice(skipped..)));
            }
        }
        Ok(None)
    }

    /// Reads what the file has at the position, and hashes it.
    async fn read(&mut self) -> io::Result<Bytes> {
        let (file, position, hasher) = (Arc::clone(&self.retrieval.file), self.position, self.hasher.take());
        let limit = usize::try_from(self.size - position).unwrap_or(READ).min(READ);
        let (hasher, read) = blocking(move || {
            let mut hasher = hasher;
            let read = read_at(file.path(), position, limit);
            if let (Ok(bytes), Some(hasher)) = (&read, &mut hasher) {
                hasher.update(bytes);
            }
            (hasher, read)
        })
        .await;
        self.hasher = hasher;
        read
    }

    /// Waits for the file to grow. That it cannot any more is an error.
    async fn wait(&mut self) -> io::Result<()> {
        let Some(running) = &mut self.retrieval.running else { return Err(self.bad(SHORT).await) };
        let done = tokio::time::timeout(POLL, async {
            while !running.is_finished() {
                tokio::time::sleep(POLL / 4).await;
            }
        });
        if done.await.is_ok() {
            self.retrieval.finish().await.map_err(io::Error::other)?;
        }
        Ok(())
    }

    async fn verify(&mut self) -> io::Result<()> {
        if self.retrieval.file.size() != self.size {
            return Err(self.bad(LONG).await);
        }
        let right = self.hasher.take().is_none_or(|hasher| hasher.matches(&self.retrieval.key));
        if right { Ok(()) } else { Err(self.bad(WRONG).await) }
    }

    async fn bad(&self, reason: &'static str) -> io::Error {
        match self.retrieval.node.condemn(&self.retrieval.key, reason).await {
            Ok(()) => io::Error::other(reason),
            Err(error) => io::Error::other(error),
        }
    }
}

const WRONG: &str = "what the program gave back is not the content of the key";
const SHORT: &str = "what the program gave back is shorter than the content of the key";
const LONG: &str = "what the program gave back is longer than the content of the key";

/// Returns the size of a file that has the content of a key, or what is wrong with it.
fn check(path: &Path, key: &Key) -> io::Result<Result<u64, &'static str>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if is_absent(&error) && key.content_size() == Some(0) => return Ok(Ok(0)),
        Err(error) if is_absent(&error) => return Ok(Err(SHORT)),
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    match key.content_size() {
        Some(wanted) if size < wanted => return Ok(Err(SHORT)),
        Some(wanted) if size > wanted => return Ok(Err(LONG)),
        _ => {}
    }
    let Some(mut hasher) = Hasher::for_key(key) else { return Ok(Ok(size)) };
    let mut buffer = vec![0; READ];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hasher.update(buffer.get(..read).unwrap_or_default()),
        }
    }
    Ok(if hasher.matches(key) { Ok(size) } else { Err(WRONG) })
}

/// Reads at most `limit` bytes; none if there are none yet.
fn read_at(path: &Path, position: u64, limit: usize) -> io::Result<Bytes> {
    let mut file = match File::open(path) {
        Err(error) if is_absent(&error) => return Ok(Bytes::new()),
        opened => opened?,
    };
    file.seek(SeekFrom::Start(position))?;
    let mut bytes = Vec::with_capacity(limit);
    file.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}
