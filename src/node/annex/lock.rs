//! Content locks, as git-annex has them.
//!
//! Whoever needs a content to stay holds a shared `fcntl` lock, whoever removes it an exclusive one: on `KEY.lck` beside
//! the content (version 10), or on the content's file (8 and 9). In `KEY.rtm` stands until when the content stays even if
//! the holder is killed; `KEY.rtl` is locked while that file is changed. All of it blocks.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annex_protocol::key::Key;
use annex_protocol::log::Clock;
use async_trait::async_trait;

use super::objects::modify;
use super::{Hold, NodeError, Repository};
use crate::clock::unix_seconds;
use crate::disk::{self, FileLock, Mode};

/// How long content stays after its holder was last heard of, in seconds: ten minutes, counted generously.
const RETENTION: u64 = 601;

/// A content, and how its repository locks it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lockable<'a> {
    pub(super) content: &'a Path,
    /// The lock is a file of its own.
    pub(super) files: bool,
}

/// The lock under which content is removed.
pub(super) struct Removal<'a> {
    lockable: Lockable<'a>,
    _lock: FileLock,
}

impl<'a> Lockable<'a> {
    fn beside(self, extension: &str) -> PathBuf {
        let mut path = self.content.as_os_str().to_owned();
        path.push(extension);
        path.into()
    }

    fn folder(self) -> &'a Path {
        self.content.parent().unwrap_or(self.content)
    }

    /// Takes the lock against removal; `None` if the content is just being removed, or gone.
    fn shared(self) -> io::Result<Option<FileLock>> {
        let taken = if self.files {
            let path = self.beside(".lck");
            modify(self.folder(), || FileLock::try_make(&path, Mode::Shared))
        } else {
            FileLock::try_existing(self.content, Mode::Shared)
        };
        match taken {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            taken => taken,
        }
    }

    /// Takes the lock for a removal; `None` if somebody holds the content.
    pub(super) fn exclusive(self) -> Result<Option<Removal<'a>>, NodeError> {
        let taken = if self.files {
            let path = self.beside(".lck");
            modify(self.folder(), || FileLock::try_make(&path, Mode::Exclusive))
        } else {
            disk::thaw(self.content).and_then(|_| {
                let taken = FileLock::try_existing(self.content, Mode::Exclusive);
                disk::freeze(self.content)?;
                taken
            })
        };
        let removal = |lock| Removal { lockable: self, _lock: lock };
        taken.map(|lock| lock.map(removal)).map_err(NodeError::at(self.content))
    }

    /// Tells whether the content is to stay for a while yet though nobody may hold it any more.
    pub(super) fn retained(self) -> Result<bool, NodeError> {
        let path = self.beside(".rtm");
        let until = self.retention().map_err(NodeError::at(&path))?;
        Ok(until.is_some_and(|until| until > Clock::from_seconds(unix_seconds())))
    }

    fn retention(self) -> io::Result<Option<Clock>> {
        match std::fs::read(self.beside(".rtm")) {
            Ok(text) => Clock::parse(text.trim_ascii())
                .map(Some)
                .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "no time that git-annex would write")),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sees to it that the content stays for ten minutes from now; returns what was written.
    fn retain(self, temporary: &Path) -> io::Result<Clock> {
        let until = Clock::from_seconds(unix_seconds() + RETENTION);
        modify(self.folder(), || {
            let _changing = FileLock::wait(&self.beside(".rtl"))?;
            if self.retention()?.is_none_or(|earlier| earlier < until) {
                let mut file = std::fs::File::create(temporary)?;
                file.write_all(until.to_string().as_bytes())?;
                file.sync_all()?;
                std::fs::rename(temporary, self.beside(".rtm"))?;
            }
            Ok(())
        })?;
        Ok(until)
    }

    /// Removes the lock's files. Only whoever has the exclusive lock may.
    pub(super) fn clear(self) -> io::Result<()> {
        disk::remove(&self.beside(".rtm"))?;
        disk::remove(&self.beside(".rtl"))?;
        disk::remove(&self.beside(".lck"))
    }
}

impl Removal<'_> {
    /// Gives the lock back: nothing is removed.
    pub(super) fn release(self) {
        if self.lockable.files {
            let _harmless = modify(self.lockable.folder(), || disk::remove(&self.lockable.beside(".lck")));
        }
    }
}

/// A content that is held.
pub(super) struct Held {
    repository: Arc<Repository>,
    content: PathBuf,
    files: bool,
    lock: FileLock,
    until: Clock,
}

impl Held {
    /// Locks a key's content against removal by anybody; `None` if it is not there.
    pub(super) fn take(repository: Arc<Repository>, key: &Key) -> Result<Option<Self>, NodeError> {
        let settings = repository.current()?;
        let Some((content, _)) = repository.find(key)? else { return Ok(None) };
        let lockable = Lockable { content: &content, files: settings.lock_files };
        let Some(lock) = lockable.shared().map_err(NodeError::at(&content))? else { return Ok(None) };
        // A removal may have been under way until just now.
        if repository.find(key)?.is_none_or(|(found, _)| found != content) {
            return Ok(None);
        }
        let until = lockable.retain(&repository.temporary()).map_err(NodeError::at(&content))?;
        Ok(Some(Self { repository, files: settings.lock_files, lock, until, content }))
    }

    /// Gives the lock back, with all that tells of it if nobody else has one.
    fn end(self) -> Result<(), NodeError> {
        let lockable = Lockable { content: &self.content, files: self.files };
        drop(self.lock);
        let Some(alone) = lockable.exclusive()? else { return Ok(()) };
        // A time that another holder wrote, who was killed, stays.
        let ours = lockable.retention().map_err(NodeError::at(&self.content))? == Some(self.until);
        if ours {
            let cleared = modify(lockable.folder(), || lockable.clear());
            return cleared.map_err(NodeError::at(&self.content));
        }
        alone.release();
        Ok(())
    }
}

#[async_trait]
impl Hold for Held {
    async fn renew(&mut self) -> Result<(), NodeError> {
        let (content, files, temporary) = (self.content.clone(), self.files, self.repository.temporary());
        let retain = move || Lockable { content: &content, files }.retain(&temporary).map_err(NodeError::at(&content));
        self.until = disk::within(self.repository.deadlines.answer, retain).await?;
        Ok(())
    }

    async fn release(self: Box<Self>) -> Result<(), NodeError> {
        disk::within(self.repository.deadlines.answer, move || self.end()).await
    }
}
