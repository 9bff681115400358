//! An upload to a git-annex repository, through the file that git-annex itself would write to.

use std::fs::File;
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use annex_protocol::hash::is_secure;
use annex_protocol::key::Key;
use annex_protocol::log::Status;
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use keep_store::base::clock::SystemClock;
use keep_store::base::disk::{self, Appender, FileLock, Mode, Part};
use keep_store::base::stream::Piece;

use super::frozen::name;
use super::obstacle::Obstacle;
use super::repository::Repository;
use super::settings::Settings;
use crate::node::error::NodeError;
use crate::node::port::{ByteStream, Upload};

/// Age from which a temporary file that was not written to belongs to nobody.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// An upload on its way.
pub(super) struct Receiving {
    repository: Arc<Repository>,
    settings: Settings,
    key: Key,
    file: PathBuf,
    /// What keeps git-annex and other uploads from the file. Without it, the file is this upload's alone, and nobody goes
    /// on with it.
    transfer: Option<(PathBuf, FileLock)>,
    /// Bytes that an earlier upload left.
    kept: u64,
    /// Bytes in the file.
    position: u64,
    current: Option<Appender>,
}

impl Repository {
    /// Returns a name for a temporary file, on the file system of the content.
    pub(super) fn temporary(&self) -> PathBuf {
        // The folder is there: the git-annex branch uses it too.
        self.annex().join("annex-keep-tmp").join(uuid::Uuid::new_v4().simple().to_string())
    }

    /// Removes temporary files that nobody can be writing any more. Those that cannot be removed stay until the next
    /// time. Blocks.
    pub(super) fn clean(&self) {
        let Ok(entries) = std::fs::read_dir(self.annex().join("annex-keep-tmp")) else { return };
        for entry in entries.flatten().filter(|entry| disk::is_older(&entry.path(), STALE, &SystemClock::default())) {
            let _next_time = std::fs::remove_file(entry.path());
        }
    }

    /// Takes the lock under which git-annex receives a key; `None` while somebody receives it. Blocks.
    fn transfer_lock(&self, key: &Key) -> io::Result<Option<(PathBuf, FileLock)>> {
        let folder = self.annex().join("transfer/download/lck");
        let mut file = std::ffi::OsString::from("lck.");
        file.push(name(key));
        let path = folder.join(file);
        loop {
            disk::make_folders(&self.annex(), &folder)?;
            match FileLock::try_make(&path, Mode::Exclusive) {
                Ok(taken) => return Ok(taken.map(|lock| (path, lock))),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                // The name is too long: git-annex cannot receive the key either.
                Err(error) if error.kind() == ErrorKind::InvalidFilename => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Receiving {
    /// Starts an upload where an earlier one left off, ours or git-annex's. Blocks.
    pub(super) fn open(repository: Arc<Repository>, key: Key) -> Result<Self, Obstacle> {
        let settings = repository.current()?;
        if settings.secure_hashes_only && !is_secure(key.backend()) {
            let text = "the repository takes secure hashes only (annex.securehashesonly)";
            return Err(NodeError::Unsupported(text.to_owned()).into());
        }
        repository.refuse_unlocked(&key, false)?;
        let folder = repository.annex().join("tmp");
        disk::make_folders(&repository.annex(), &folder).map_err(NodeError::at(&folder))?;
        let transfer = repository.transfer_lock(&key).map_err(NodeError::at(&repository.path))?;
        let file = if transfer.is_some() { folder.join(name(&key)) } else { repository.temporary() };
        let kept = disk::look(&file).map_err(NodeError::at(&file))?.map_or(0, |found| found.len());
        Ok(Self { repository, settings, key, file, transfer, kept, position: kept, current: None })
    }

    /// Returns how many bytes an earlier upload left.
    pub(super) fn offset(&self) -> u64 {
        self.kept
    }

    /// Opens the file that the next bytes go to.
    async fn appender(&self) -> Result<Appender, NodeError> {
        let (path, at) = (self.file.clone(), self.position);
        let open = move || {
            // git-annex may have left it unwritable.
            if path.exists() {
                disk::thaw(&path).map_err(NodeError::at(&path))?;
            }
            let opened = File::options().write(true).create(true).truncate(false).open(&path).and_then(|mut file| {
                file.set_len(at)?;
                file.seek(SeekFrom::Start(at))?;
                Ok(file)
            });
            opened.map_err(NodeError::at(&path))
        };
        let file = disk::within(self.repository.deadlines.answer, open).await?;
        Ok(Appender::new(file, self.repository.deadlines.progress))
    }

    /// Ends writing.
    async fn close(&mut self, durable: bool) -> Result<(), NodeError> {
        let Some(current) = self.current.take() else { return Ok(()) };
        let closed = current.finish(move |file| if durable { file.sync_all() } else { Ok(()) }).await;
        closed.map_err(NodeError::at(&self.file))
    }

    /// Runs the end of the upload off the runtime, and then gives the transfer lock back.
    async fn end(self, work: impl FnOnce(&Self) -> Result<(), NodeError> + Send + 'static) -> Result<(), NodeError> {
        let limit = self.repository.deadlines.answer;
        let ending = move || {
            let done = work(&self);
            if let Some((path, _)) = &self.transfer {
                let _unused = disk::remove(path);
            }
            done
        };
        disk::within(limit, ending).await
    }

    fn remove_file(&self) -> Result<(), NodeError> {
        disk::remove(&self.file).map_err(NodeError::at(&self.file))
    }
}

#[async_trait]
impl Upload for Receiving {
    async fn kept(&self) -> Result<ByteStream, NodeError> {
        let part = Part { path: self.file.clone(), file: None, from: 0, size: self.kept };
        Ok(disk::stream(vec![part], self.repository.deadlines.progress))
    }

    async fn restart(&mut self) -> Result<(), NodeError> {
        (self.kept, self.position, self.current) = (0, 0, None);
        Ok(())
    }

    async fn announce(&mut self, size: u64) -> Result<(), NodeError> {
        let (folder, reserve) = (self.repository.annex(), self.settings.reserve);
        let missing = size.saturating_sub(self.position);
        let look = move || {
            let (_, free) = disk::space(&folder).map_err(NodeError::at(&folder))?;
            let free = free.saturating_sub(reserve);
            if free < missing {
                return Err(NodeError::Full(format!(
                    "{}: {free} bytes are free above annex.diskreserve",
                    folder.display()
                )));
            }
            Ok(())
        };
        disk::within(self.repository.deadlines.answer, look).await
    }

    async fn piece(&mut self, piece: Piece) -> Result<(), NodeError> {
        let Piece::Data(bytes) = piece else { return Ok(()) };
        let current = match self.current.take() {
            Some(current) => current,
            None => self.appender().await?,
        };
        self.position += bytes.len() as u64;
        let well = current.write(bytes).await.map_err(NodeError::at(&self.file))?;
        self.current = Some(current);
        if well { Ok(()) } else { self.close(false).await }
    }

    async fn commit(mut self: Box<Self>) -> Result<Vec<Uuid>, NodeError> {
        if self.key.content_size().is_some_and(|size| size != self.position) {
            return Err(NodeError::WrongUpload(format!("only {} bytes of the content came", self.position)));
        }
        if self.current.is_none() {
            // Nothing came since the upload that broke off.
            self.current = Some(self.appender().await?);
        }
        self.close(true).await?;
        let repository = Arc::clone(&self.repository);
        self.end(|upload| {
            // The work tree may have got an unlocked file meanwhile. What came stays for git-annex to go on with.
            if let Err(Obstacle::GitAnnex(why)) = upload.repository.refuse_unlocked(&upload.key, false) {
                return Err(NodeError::Busy(format!("{why}; it came there during the upload: send it again")));
            }
            upload.repository.place(&upload.key, &upload.file)?;
            upload.repository.record(&upload.key, Status::Present)
        })
        .await?;
        repository.commit_soon();
        Ok(Vec::new())
    }

    async fn suspend(mut self: Box<Self>) -> Result<(), NodeError> {
        self.close(false).await?;
        self.end(|upload| if upload.transfer.is_some() { Ok(()) } else { upload.remove_file() }).await
    }

    async fn abort(mut self: Box<Self>) -> Result<(), NodeError> {
        // What went wrong with bytes that nobody wants does not matter.
        let _failed = self.close(false).await;
        self.end(Self::remove_file).await
    }
}
