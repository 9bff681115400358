//! An upload to a directory special remote: staged in `tmp`, put in place chunk by chunk when it is complete.
//!
//! ```text
//! DIR/tmp/annex-keep-MD5OFKEY-CHUNKSIZE/lock     held by the upload that uses the folder
//! DIR/tmp/annex-keep-MD5OFKEY-CHUNKSIZE/N/NAME   chunk N (1 if the content is stored whole), under its final name
//! ```

use std::fs::{self, File};
use std::io::{ErrorKind, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use bytes::Bytes;
use keep_store::base::clock::SystemClock;
use keep_store::base::disk::{self, Appender, FileLock, Mode, Part};
use keep_store::base::stream::Piece;
use md5::{Digest as _, Md5};

use super::layout::name;
use super::root::Directory;
use crate::node::chunks::Chunking;
use crate::node::error::NodeError;
use crate::node::port::{ByteStream, Upload};

/// What the names of folders for uploads begin with.
const PREFIX: &str = "annex-keep-";

/// Age from which a folder that nobody uses is not gone on with.
const STALE: Duration = Duration::from_secs(7 * 24 * 3600);

/// An upload on its way.
pub(super) struct Staged {
    directory: Arc<Directory>,
    key: Key,
    chunking: Chunking,
    folder: PathBuf,
    /// Another upload of the key has the folder that is found again: this one ends with the process.
    fleeting: bool,
    _lock: FileLock,
    /// Bytes that an earlier upload left.
    kept: u64,
    /// Bytes that are staged.
    position: u64,
    current: Option<Appender>,
}

impl Staged {
    /// Starts an upload where an earlier one left off. Blocks.
    pub(super) fn open(directory: Arc<Directory>, key: Key) -> Result<Self, NodeError> {
        directory.still_there()?;
        let chunking = Chunking::new(&key, directory.chunk);
        let digest: String = Md5::digest(key.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
        let usual = directory.root.join("tmp").join(format!("{PREFIX}{digest}-{}", chunking.size().unwrap_or(0)));
        let (folder, lock) = match take(&directory.root, &usual)? {
            Some(lock) => (usual.clone(), lock),
            None => {
                let other = directory.root.join("tmp").join(format!("{PREFIX}{}", uuid::Uuid::new_v4().simple()));
                let lock = take(&directory.root, &other)?;
                (other, lock.ok_or_else(|| NodeError::Busy("an upload's folder is in use".to_owned()))?)
            }
        };
        let fleeting = folder != usual;
        let (kept, position, current) = (0, 0, None);
        let mut upload = Self { directory, key, chunking, folder, fleeting, _lock: lock, kept, position, current };
        upload.kept = upload.measure()?;
        upload.position = upload.kept;
        Ok(upload)
    }

    /// Returns how many bytes an earlier upload left.
    pub(super) fn offset(&self) -> u64 {
        self.kept
    }

    /// Returns how many bytes from the start are staged.
    fn measure(&self) -> Result<u64, NodeError> {
        let mut bytes = 0;
        for number in 1.. {
            let path = self.file(number);
            let Some(found) = disk::look(&path).map_err(NodeError::at(&path))? else { break };
            match self.chunking.size() {
                Some(chunk) if found.len() == chunk => bytes += chunk,
                Some(chunk) if found.len() > chunk => break,
                _ => return Ok(bytes + found.len()),
            }
        }
        Ok(bytes)
    }

    fn part_folder(&self, number: u64) -> PathBuf {
        self.folder.join(number.to_string())
    }

    fn file(&self, number: u64) -> PathBuf {
        self.part_folder(number).join(name(&self.chunking.key(number)))
    }

    /// Opens the file that the next bytes go to.
    async fn next_file(&self) -> Result<Appender, NodeError> {
        let (number, at) = self.chunking.at(self.position);
        let (folder, path) = (self.part_folder(number), self.file(number));
        let open = move || {
            if let Err(error) = fs::create_dir(&folder)
                && error.kind() != ErrorKind::AlreadyExists
            {
                return Err(NodeError::at(&folder)(error));
            }
            let opened = File::options().write(true).create(true).truncate(false).open(&path).and_then(|mut file| {
                file.set_len(at)?;
                file.seek(SeekFrom::Start(at))?;
                Ok(file)
            });
            opened.map_err(NodeError::at(&path))
        };
        let file = disk::within(self.directory.deadlines.answer, open).await?;
        Ok(Appender::new(file, self.directory.deadlines.progress))
    }

    async fn write(&mut self, mut bytes: Bytes) -> Result<(), NodeError> {
        while !bytes.is_empty() {
            let room = self.chunking.room(self.position);
            let size = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
            let current = match self.current.take() {
                Some(current) => current,
                None => self.next_file().await?,
            };
            let well = current.write(bytes.split_to(size)).await?;
            self.position += size as u64;
            self.current = Some(current);
            if !well || size as u64 == room {
                self.close(true).await?;
            }
        }
        Ok(())
    }

    /// Ends the file that is being written.
    async fn close(&mut self, durable: bool) -> Result<(), NodeError> {
        let Some(current) = self.current.take() else { return Ok(()) };
        let closed = current.finish(move |file| if durable { file.sync_all() } else { Ok(()) }).await;
        closed.map_err(NodeError::at(&self.directory.root))
    }

    async fn discard(self) -> Result<(), NodeError> {
        let (limit, folder) = (self.directory.deadlines.answer, self.folder.clone());
        let work = move || {
            // The lock goes last: who waits for it must find the folder gone.
            let removed = fs::remove_dir_all(&folder).map_err(NodeError::at(&folder));
            drop(self);
            removed
        };
        disk::within(limit, work).await
    }
}

#[async_trait]
impl Upload for Staged {
    async fn kept(&self) -> Result<ByteStream, NodeError> {
        let mut parts = Vec::new();
        let mut left = self.kept;
        for number in 1.. {
            if left == 0 {
                break;
            }
            let size = left.min(self.chunking.room(0));
            parts.push(Part { path: self.file(number), file: None, from: 0, size });
            left -= size;
        }
        Ok(disk::stream(parts, self.directory.deadlines.progress))
    }

    async fn restart(&mut self) -> Result<(), NodeError> {
        (self.kept, self.position, self.current) = (0, 0, None);
        Ok(())
    }

    async fn announce(&mut self, _size: u64) -> Result<(), NodeError> {
        Ok(())
    }

    async fn piece(&mut self, piece: Piece) -> Result<(), NodeError> {
        match piece {
            Piece::Data(bytes) => self.write(bytes).await,
            Piece::Cut(_) => Ok(()),
        }
    }

    async fn commit(mut self: Box<Self>) -> Result<Vec<Uuid>, NodeError> {
        if self.key.content_size().is_some_and(|size| size != self.position) {
            return Err(NodeError::WrongUpload(format!("only {} bytes of the content came", self.position)));
        }
        if self.current.is_none() {
            // Nothing came since the last file was closed, or since the upload that broke off, which did not sync.
            if self.position == 0 || self.chunking.size().is_none() || self.chunking.at(self.position).1 > 0 {
                self.current = Some(self.next_file().await?);
            }
        }
        self.close(true).await?;
        for number in 1..=self.chunking.count(self.position) {
            let (directory, key) = (Arc::clone(&self.directory), self.chunking.key(number));
            let (staged, file) = (self.part_folder(number), self.file(number));
            let work = move || {
                // Chunks of an upload that broke off were not synced.
                File::open(&file).and_then(|opened| opened.sync_all()).map_err(NodeError::at(&file))?;
                disk::sync_folder(&staged).map_err(NodeError::at(&staged))?;
                directory.place(&staged, &key)
            };
            disk::within(self.directory.deadlines.answer, work).await?;
        }
        // The content is there; what is left in `tmp` is cleared away some day if not now.
        if let Err(error) = self.discard().await {
            tracing::warn!("clearing up after an upload: {error}");
        }
        Ok(Vec::new())
    }

    async fn suspend(mut self: Box<Self>) -> Result<(), NodeError> {
        self.close(false).await?;
        if self.fleeting { self.discard().await } else { Ok(()) }
    }

    async fn abort(mut self: Box<Self>) -> Result<(), NodeError> {
        self.close(false).await?;
        self.discard().await
    }
}

/// Takes a folder for an upload, made if it is missing; `None` if another upload has it.
fn take(root: &Path, folder: &Path) -> Result<Option<FileLock>, NodeError> {
    loop {
        disk::make_folders(root, folder).map_err(NodeError::at(folder))?;
        match FileLock::try_make(&folder.join("lock"), Mode::Exclusive) {
            // The upload that had it has just ended.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            taken => return taken.map_err(NodeError::at(folder)),
        }
    }
}

/// Removes what uploads left that nobody goes on with. Those that cannot be removed stay until the next time.
pub(super) fn clean(root: &Path) {
    let Ok(entries) = fs::read_dir(root.join("tmp")) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes())) {
        let folder = entry.path();
        if disk::is_older(&folder, STALE, &SystemClock::default())
            && let Ok(Some(_lock)) = FileLock::try_make(&folder.join("lock"), Mode::Exclusive)
        {
            let _next_time = fs::remove_dir_all(&folder);
        }
    }
}
