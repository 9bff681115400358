//! Content between the host's files and the store.

use std::io::SeekFrom;
use std::path::Path;

use annex_protocol::hash::Hasher;
use annex_protocol::key::Key;
use bytes::BytesMut;
use futures_util::TryStreamExt as _;
use keep_store::base::stream::{Budget, Counted, Lane, Work};
use keep_store::entries::Upload;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use super::host::Host;
use super::progress::Progress;
use super::shared::Place;
use super::subject::{Found, Subject};
use super::trouble::Trouble;

/// Bytes read from a file at once.
const PIECE: usize = 512 << 10;

/// Bytes that may wait for the key's hash.
const HASHING: u32 = 8 << 20;

/// Stores a file as the content of a key; it is durable and recorded when this returns.
///
/// Where the key tells size or hash, content that differs is refused. A failure leaves nothing that counts as present.
pub(super) async fn store(place: &Place<'_>, subject: &Subject, file: &Path, host: &mut Host) -> Result<(), Trouble> {
    let key = &subject.key;
    let mut source = Source::open(file).await?;
    if let Some(expected) = key.content_size().filter(|expected| *expected != source.size) {
        let size = source.size;
        return Err(Trouble::failed(format!("{} has {size} bytes, its key {expected}: not stored", file.display())));
    }
    let (owner, name) = place.entry_name(subject);
    let mut upload = place.store.write(&owner, &name).await?;
    // What an earlier try left may come from other bytes: encryption never gives the same ones twice. Blocks of it
    // that do fit are found again by their hash.
    upload.restart().await?;
    let copied = copy(&mut source, &mut upload, key, host).await;
    if copied.is_ok() {
        let entry = upload.commit().await?;
        place.record(subject, &entry, host).await?;
    } else if let Err(error) = upload.abort().await {
        // What failed first matters more.
        tracing::warn!("an upload could not be taken back: {error}");
    }
    copied
}

async fn copy(source: &mut Source<'_>, upload: &mut Upload, key: &Key, host: &Host) -> Result<(), Trouble> {
    let mut check = Check::new(key);
    let mut progress = Progress::at(host, 0);
    while let Some(bytes) = source.read().await? {
        let size = bytes.len();
        if let Some(check) = &mut check {
            check.add(bytes.clone()).await;
        }
        upload.push(bytes).await?;
        progress.add(size).await?;
    }
    source.unchanged().await?;
    if let Some(check) = check
        && !check.matches(key).await
    {
        let file = source.path.display();
        return Err(Trouble::failed(format!("the content of {file} does not match its key {key}: not stored")));
    }
    Ok(progress.finish().await?)
}

/// Writes the content of `key` to a file, front to back; goes on where an interrupted transfer stopped.
///
/// After a failure the file holds the content's beginning and nothing else.
pub(super) async fn retrieve(
    place: &Place<'_>,
    subject: &Subject,
    file: &Path,
    host: &mut Host,
) -> Result<(), Trouble> {
    let key = &subject.key;
    let absent = || Trouble::failed(format!("the store {} does not have {key}", place.settings.place));
    let found = place.find(subject, host).await?.ok_or_else(absent)?;
    // Each upload of an encrypted object has other bytes: a part of an older one would not fit.
    let from = if key.backend().starts_with(b"GPGHMAC") { From::Start } else { From::WhereItStopped };
    fetch(place, &found, from, file, host).await
}

/// Where a file that is partly there is gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// What is there is no part of the content, or may be none.
    Start,
    /// What is there is the content's beginning.
    WhereItStopped,
}

/// Writes a content that was found to a file.
pub(super) async fn fetch(
    place: &Place<'_>,
    found: &Found,
    from: From,
    file: &Path,
    host: &Host,
) -> Result<(), Trouble> {
    let failed =
        |what: &str, error: std::io::Error| Trouble::failed(format!("cannot {what} {}: {error}", file.display()));
    let mut target = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(file)
        .await
        .map_err(|error| failed("open", error))?;
    let there = target.metadata().await.map_err(|error| failed("read", error))?.len();
    // A longer file is no part of it, and what is as long as the whole may well be wrong.
    let from = if from == From::WhereItStopped && there < found.size { there } else { 0 };
    let gone = || Trouble::failed(format!("the store {} has lost blocks of it", place.settings.place));
    let mut content = place.store.read_file(&found.extents, from).await?.ok_or_else(gone)?;
    target.set_len(from).await.map_err(|error| failed("write", error))?;
    target.seek(SeekFrom::Start(from)).await.map_err(|error| failed("write", error))?;
    let mut progress = Progress::at(host, from);
    let copied = async {
        while let Some(bytes) = content.stream.try_next().await? {
            target.write_all(&bytes).await.map_err(|error| failed("write", error))?;
            progress.add(bytes.len()).await?;
        }
        Ok::<(), Trouble>(())
    };
    let copied = copied.await;
    target.flush().await.map_err(|error| failed("write", error))?;
    copied?;
    Ok(progress.finish().await?)
}

/// The file that is to be stored.
struct Source<'a> {
    path: &'a Path,
    file: File,
    size: u64,
    read: u64,
}

impl<'a> Source<'a> {
    async fn open(path: &'a Path) -> Result<Self, Trouble> {
        let cannot = |error| Trouble::failed(format!("cannot read {}: {error}", path.display()));
        let file = File::open(path).await.map_err(cannot)?;
        let size = file.metadata().await.map_err(cannot)?.len();
        Ok(Self { path, file, size, read: 0 })
    }

    /// Returns the next bytes; `None` at the end. Never more than the file had when it was opened.
    async fn read(&mut self) -> Result<Option<bytes::Bytes>, Trouble> {
        let mut buffer = BytesMut::with_capacity(PIECE);
        while buffer.len() < PIECE {
            if self.file.read_buf(&mut buffer).await.map_err(|error| self.cannot_read(&error))? == 0 {
                break;
            }
        }
        self.read += buffer.len() as u64;
        if self.read > self.size {
            return Err(self.changed());
        }
        Ok((!buffer.is_empty()).then(|| buffer.freeze()))
    }

    async fn unchanged(&self) -> Result<(), Trouble> {
        let size = self.file.metadata().await.map_err(|error| self.cannot_read(&error))?.len();
        if self.read == self.size && size == self.size { Ok(()) } else { Err(self.changed()) }
    }

    fn cannot_read(&self, error: &std::io::Error) -> Trouble {
        Trouble::failed(format!("cannot read {}: {error}", self.path.display()))
    }

    fn changed(&self) -> Trouble {
        Trouble::failed(format!("{} changed while it was read: not stored", self.path.display()))
    }
}

/// Checks content against its key's hash, off the runtime.
struct Check {
    lane: Lane<Hashing>,
    budget: Budget,
}

struct Hashing(Hasher);

impl Work for Hashing {
    fn take(&mut self, bytes: Counted) {
        self.0.update(&bytes.bytes);
    }
}

impl Check {
    /// `None` for keys that hashing tells nothing about.
    fn new(key: &Key) -> Option<Self> {
        Some(Self { lane: Lane::new(Hashing(Hasher::for_key(key)?)), budget: Budget::new(HASHING) })
    }

    async fn add(&mut self, bytes: bytes::Bytes) {
        self.lane.push(self.budget.take(bytes).await);
    }

    async fn matches(self, key: &Key) -> bool {
        let key = key.clone();
        // A lost thread proves nothing.
        self.lane.finish(move |hashing| hashing.0.matches(&key)).await.unwrap_or(false)
    }
}
