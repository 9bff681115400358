//! Content from a program: through a temporary file, as it grows if the program writes it front to back.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use annex_protocol::external::{Direction, Response};
use annex_protocol::hash::Hasher;
use annex_protocol::key::Key;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use keep_store::base::task::blocking;
use tokio::io::AsyncSeekExt;
use tokio::task::JoinHandle;
use tokio_util::io::ReaderStream;
use tokio_util::sync::DropGuard;

use super::ask::Watch;
use super::remote::{Remote, failed, unusable};
use crate::node::error::NodeError;
use crate::node::port::{ByteStream, Content};
use crate::node::spooling::{file_name, kept_name};
use crate::spool::SpoolFile;

/// A RETRIEVE under way; dropped, it is given up.
struct Retrieval {
    node: Arc<Remote>,
    key: Key,
    landing: Arc<Landing>,
    /// The program found a part of the file that an earlier one left.
    resumed: bool,
    running: Option<JoinHandle<Result<Response, NodeError>>>,
    _cancel: DropGuard,
}

/// Where a program leaves what it retrieves. What is not used up is kept for who asks next: a program that can goes on
/// from there.
struct Landing {
    file: SpoolFile,
    name: String,
    used_up: AtomicBool,
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

/// Whether a program may go on from what an earlier one left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Resume {
    IfKept,
    Never,
}

const READ: usize = 256 << 10;

/// How often a growing file is looked at.
const POLL: Duration = Duration::from_millis(50);

/// Retrieves a key. A file that is complete before its first byte is sent is checked against the key's hash first; of
/// one that is sent as it grows the last bytes are held back until it is known to be right.
pub(super) async fn get(node: &Arc<Remote>, key: &Key, offset: u64) -> Result<Option<Content>, NodeError> {
    if node.layout.check_present(key).is_none() {
        return Ok(None);
    }
    let ordered = node.pool.is_ordered().await?;
    let Some(mut retrieval) = Retrieval::start(node, key, Resume::IfKept).await? else { return Ok(None) };
    if let Some(size) = key.content_size().filter(|size| *size > 0)
        && ordered
        && retrieval.has_begun().await
    {
        let hasher = Hasher::for_key(key);
        let growing = Growing { retrieval, hasher, position: 0, offset, size };
        return Ok(Some(Content { size, stream: growing.stream(), verified: true }));
    }
    loop {
        if let Err(error) = retrieval.finish().await {
            // A failure says nothing about presence.
            return if let Ok(false) = node.has(key).await { Ok(None) } else { Err(error) };
        }
        let (landing, checked_key) = (Arc::clone(&retrieval.landing), key.clone());
        match blocking(move || check(landing.file.path(), &checked_key)).await {
            Ok(Ok(size)) => {
                let stream = retrieval.stream(offset.min(size), size).await?;
                return Ok(Some(Content { size, stream, verified: true }));
            }
            // What was there before may be to blame.
            Ok(Err(_)) if retrieval.resumed => {
                retrieval.landing.use_up();
                let Some(fresh) = Retrieval::start(node, key, Resume::Never).await? else { return Ok(None) };
                retrieval = fresh;
            }
            Ok(Err(reason)) => {
                retrieval.bad(reason).await?;
                return Err(NodeError::Damaged(reason.to_owned()));
            }
            Err(error) => return Err(retrieval.fail(&error)),
        }
    }
}

impl Retrieval {
    async fn start(node: &Arc<Remote>, key: &Key, resume: Resume) -> Result<Option<Self>, NodeError> {
        let (spool, size) = (node.spool.clone(), key.content_size().unwrap_or_default());
        let (name, file_name) = (kept_name("get", &node.uuid, key), file_name(key));
        let placed = blocking(move || {
            let file = spool.file(&file_name)?;
            let resumed = resume == Resume::IfKept && spool.take(&name, &file);
            file.promise(size)?;
            Ok::<_, NodeError>((Landing { file, name, used_up: AtomicBool::new(false) }, resumed))
        });
        let (landing, resumed) = placed.await?;
        let landing = Arc::new(landing);
        let file = &landing.file;
        let Some(ask) = node.layout.transfer(Direction::Retrieve, key, file.path()) else { return Ok(None) };
        let watch = Watch { size, file: Some(file.path().into()), ..Watch::default() };
        let cancel = watch.cancelled.clone().drop_guard();
        let (pool, kept) = (Arc::clone(&node.pool), Arc::clone(&landing));
        let running = tokio::spawn(async move {
            let done = pool.run(ask, watch).await;
            // The program may write to the end, even when nobody reads.
            drop(kept);
            done
        });
        let (node, key) = (Arc::clone(node), key.clone());
        Ok(Some(Self { node, key, landing, resumed, running: Some(running), _cancel: cancel }))
    }

    /// Waits for the first byte; false when the program has ended its work, or failed, instead.
    async fn has_begun(&self) -> bool {
        while self.running.as_ref().is_some_and(|running| !running.is_finished()) {
            if self.landing.file.size() > 0 {
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

    /// Returns the bytes of the complete file of `size` bytes.
    async fn stream(self, offset: u64, size: u64) -> Result<ByteStream, NodeError> {
        if offset == size {
            self.landing.use_up();
            return Ok(stream::empty().boxed());
        }
        let opened = async {
            let mut file = tokio::fs::File::open(self.landing.file.path()).await?;
            file.seek(SeekFrom::Start(offset)).await?;
            Ok(file)
        };
        let file = opened.await.map_err(|error| self.fail(&error))?;
        let mut left = size - offset;
        let bytes = ReaderStream::with_capacity(file, READ).inspect_ok(move |bytes| {
            left = left.saturating_sub(bytes.len() as u64);
            if left == 0 {
                self.landing.use_up();
            }
        });
        Ok(bytes.boxed())
    }

    /// Counts the key as gone, unless the bytes that were in the file before the program began may be at fault.
    async fn bad(&self, reason: &'static str) -> Result<(), NodeError> {
        self.landing.use_up();
        if self.resumed { Ok(()) } else { self.node.condemn(&self.key, reason).await }
    }

    fn fail(&self, error: &io::Error) -> NodeError {
        NodeError::Failed(format!("{}: {error}", self.landing.file.path().display()))
    }
}

impl Landing {
    fn use_up(&self) {
        self.used_up.store(true, Ordering::Relaxed);
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if !self.used_up.load(Ordering::Relaxed) && self.file.size() > 0 {
            let _done_without = self.file.keep(&self.name);
        }
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
                self.retrieval.landing.use_up();
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
        let (landing, position, hasher) = (Arc::clone(&self.retrieval.landing), self.position, self.hasher.take());
        let limit = usize::try_from(self.size - position).unwrap_or(READ).min(READ);
        let (hasher, read) = blocking(move || {
            let mut hasher = hasher;
            let read = read_at(landing.file.path(), position, limit);
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
        if self.retrieval.landing.file.size() != self.size {
            return Err(self.bad(LONG).await);
        }
        let right = self.hasher.take().is_none_or(|hasher| hasher.matches(&self.retrieval.key));
        if right { Ok(()) } else { Err(self.bad(WRONG).await) }
    }

    async fn bad(&self, reason: &'static str) -> io::Error {
        match self.retrieval.bad(reason).await {
            Ok(()) => io::Error::other(NodeError::Damaged(reason.to_owned())),
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
