//! Content locks, as git-annex has them.
//!
//! Whoever needs a content to stay holds a shared `fcntl` lock, whoever removes it an exclusive one: on `KEY.lck` beside
//! the content (version 10), or on the content's file (8 and 9). In `KEY.rtm` stands until when the content stays even if
//! the holder is killed; `KEY.rtl` is locked while that file is changed. All of it blocks.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use annex_protocol::key::Key;
use annex_protocol::log::Clock as Time;
use async_trait::async_trait;
use keep_store::base::clock::Clock;
use keep_store::base::disk::{self, FileLock, Mode};

use super::frozen::modify;
use super::obstacle::Obstacle;
use super::repository::Repository;
use crate::lock_time::LOCKED_SECONDS;
use crate::node::error::NodeError;
use crate::node::port::Hold;

/// When to look again for a lock that is about to be free.
const PAUSES: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(20)];

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

    /// Takes the lock as [`Lockable::exclusive`] does, and looks again before it says that somebody else holds the content: a
    /// process that is being started has its parent's locks until it runs its program.
    fn exclusive_soon(self) -> Result<Option<Removal<'a>>, NodeError> {
        for pause in PAUSES {
            if let Some(removal) = self.exclusive()? {
                return Ok(Some(removal));
            }
            std::thread::sleep(pause);
        }
        self.exclusive()
    }

    /// Tells whether the content is to stay for a while yet though nobody may hold it any more.
    pub(super) fn retained(self, clock: &dyn Clock) -> Result<bool, NodeError> {
        let path = self.beside(".rtm");
        let until = self.retention().map_err(NodeError::at(&path))?;
        Ok(until.is_some_and(|until| is_to_come(until, clock)))
    }

    fn retention(self) -> io::Result<Option<Time>> {
        match std::fs::read(self.beside(".rtm")) {
            Ok(text) => Time::parse(text.trim_ascii())
                .map(Some)
                .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "this is not a time as git-annex writes it")),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sees to it that the content stays for as long as a lock lasts; returns what was written, and what somebody else had
    /// written that is not over.
    fn retain(self, temporary: &Path, own: Option<Time>, clock: &dyn Clock) -> io::Result<(Time, Option<Time>)> {
        let until = in_a_while(clock);
        let before = modify(self.folder(), || {
            let _changing = FileLock::wait(&self.beside(".rtl"))?;
            let before = self.retention()?;
            if before.is_none_or(|before| before < until) {
                self.write_retention(temporary, until)?;
            }
            Ok(before)
        })?;
        Ok((until, before.filter(|before| is_to_come(*before, clock) && Some(*before) != own)))
    }

    fn write_retention(self, temporary: &Path, until: Time) -> io::Result<()> {
        let mut file = std::fs::File::create(temporary)?;
        file.write_all(until.to_string().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(temporary, self.beside(".rtm"))
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
    until: Time,
    /// Until when somebody else wants the content to stay, who may have been killed.
    others: Option<Time>,
}

impl Held {
    /// Locks a key's content against removal by anybody; `None` if it is not there.
    pub(super) fn take(repository: Arc<Repository>, key: &Key) -> Result<Option<Self>, Obstacle> {
        let files = repository.current()?.lock_files;
        let Some((content, _)) = repository.find(key)? else { return Ok(None) };
        let lockable = Lockable { content: &content, files };
        let Some(lock) = lockable.shared().map_err(NodeError::at(&content))? else { return Ok(None) };
        // A removal may have been under way until just now.
        if repository.find(key)?.is_none_or(|(found, _)| found != content) {
            return Ok(None);
        }
        let retained =
            lockable.retain(&repository.temporary(), None, &*repository.clock).map_err(NodeError::at(&content));
        let (until, others) = retained?;
        Ok(Some(Self { repository, content, files, lock, until, others }))
    }

    /// Gives the lock back, with all that tells of it if nobody else has one.
    fn end(self) -> Result<(), NodeError> {
        let Self { repository, content, files, lock, until, others } = self;
        let lockable = Lockable { content: &content, files };
        drop(lock);
        let mut over = repository.over.lock().unwrap_or_else(PoisonError::into_inner);
        over.retain(|(_, until)| is_to_come(*until, &*repository.clock));
        over.insert((content.clone(), until));
        let Some(alone) = lockable.exclusive_soon()? else { return Ok(()) };
        let is_over = |time: Time| over.contains(&(content.clone(), time));
        if lockable.retention().map_err(NodeError::at(&content))?.is_some_and(|time| !is_over(time)) {
            alone.release();
            return Ok(());
        }
        // Of two who hold the content only the later time is written down: the other one's comes back.
        let done = match others.filter(|time| is_to_come(*time, &*repository.clock) && !is_over(*time)) {
            Some(time) => modify(lockable.folder(), || lockable.write_retention(&repository.temporary(), time)),
            None => modify(lockable.folder(), || lockable.clear()),
        };
        done.map_err(NodeError::at(&content))
    }
}

/// The end of a retention that starts now; no two are the same.
fn in_a_while(clock: &dyn Clock) -> Time {
    let now = clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default();
    let text = format!("{}.{:09}s", now.as_secs() + LOCKED_SECONDS, now.subsec_nanos());
    Time::parse(text.as_bytes()).unwrap_or(Time::from_seconds(now.as_secs() + LOCKED_SECONDS))
}

fn is_to_come(time: Time, clock: &dyn Clock) -> bool {
    time > Time::from_seconds(clock.unix_seconds())
}

#[async_trait]
impl Hold for Held {
    async fn renew(&mut self) -> Result<(), NodeError> {
        let (content, files, temporary) = (self.content.clone(), self.files, self.repository.temporary());
        let (own, repository) = (self.until, Arc::clone(&self.repository));
        let retain = move || {
            let retained = Lockable { content: &content, files }.retain(&temporary, Some(own), &*repository.clock);
            let retained = retained.map_err(NodeError::at(&content))?;
            repository.over.lock().unwrap_or_else(PoisonError::into_inner).insert((content, own));
            Ok::<_, NodeError>(retained)
        };
        let (until, others) = disk::within(self.repository.deadlines.answer, retain).await?;
        (self.until, self.others) = (until, others.max(self.others));
        Ok(())
    }

    async fn release(self: Box<Self>) -> Result<(), NodeError> {
        disk::within(self.repository.deadlines.answer, move || self.end()).await
    }
}
