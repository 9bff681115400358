//! Temporary files for content that somebody can only take from, or leave in, a file.
//!
//! A [`Spool`] is a directory that several processes share. Files of a process that was killed are removed by the next
//! one that opens the spool. What a spool takes leaves a reserve free on its disk.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keep_store::base::clock::{Clock, SharedClock};
use tokio::sync::OnceCell;

/// A directory of temporary files. Cloning is cheap. All methods block.
#[derive(Debug, Clone)]
pub struct Spool(Arc<Inner>);

/// A spool that is opened when it is first needed. Cloning shares it.
#[derive(Debug, Clone)]
pub struct LazySpool {
    dir: PathBuf,
    reserve: u64,
    clock: SharedClock,
    spool: Arc<OnceCell<Spool>>,
}

#[derive(Debug)]
struct Inner {
    /// What this process has in the spool.
    own: PathBuf,
    /// What uploads that broke off left for the next one.
    kept: PathBuf,
    reserve: u64,
    /// The files in use, with the sizes that they will grow to.
    promised: Mutex<HashMap<PathBuf, u64>>,
    /// Locked while this process lives: nobody else removes its files.
    _alive: File,
}

/// A temporary file, or the place for one; dropped, it is gone.
#[derive(Debug)]
pub struct SpoolFile {
    spool: Arc<Inner>,
    dir: PathBuf,
    path: PathBuf,
}

/// Why there is no temporary file.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The disk has no room for it above the reserve.
    #[error("no room for a temporary file of {size} bytes in {}: {free} bytes are free, of which {reserve} are a reserve", dir.display())]
    Full {
        /// The spool.
        dir: PathBuf,
        /// The size of the file.
        size: u64,
        /// What the disk has free and nobody was promised.
        free: u64,
        /// What has to stay free.
        reserve: u64,
    },
    /// The system failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Names of what others must leave alone start with it: a directory that is being made.
const MAKING: &str = ".new-";

/// How long what an upload left is kept, and a directory in the making.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// What file systems take; leaves room for an ending.
const LONGEST_NAME: usize = 240;

const LOCK: &str = "lock";
const KEPT: &str = "kept";

impl LazySpool {
    /// Names a spool; nothing is made yet.
    pub fn new(dir: &Path, reserve: u64, clock: &SharedClock) -> Self {
        Self { dir: dir.into(), reserve, clock: Arc::clone(clock), spool: Arc::default() }
    }

    /// Returns the spool.
    pub async fn open(&self) -> Result<Spool, SpoolError> {
        let open = || {
            let (dir, reserve, clock, failed) =
                (self.dir.clone(), self.reserve, Arc::clone(&self.clock), fail(&self.dir));
            async move {
                let opened = tokio::task::spawn_blocking(move || Spool::open(&dir, reserve, &*clock)).await;
                opened.unwrap_or_else(|lost| Err(failed(io::Error::other(lost))))
            }
        };
        self.spool.get_or_try_init(open).await.cloned()
    }
}

impl Spool {
    /// Opens the spool in `dir`, which is made if it is not there, and removes what nobody needs any more, as `clock` has
    /// it.
    pub fn open(dir: &Path, reserve: u64, clock: &dyn Clock) -> Result<Self, SpoolError> {
        let kept = dir.join(KEPT);
        make(&kept)?;
        clean(dir, clock);
        let name = uuid::Uuid::new_v4().simple().to_string();
        let (making, own) = (dir.join(format!("{MAKING}{name}")), dir.join(name));
        make(&making)?;
        let lock = making.join(LOCK);
        let alive = File::create_new(&lock).and_then(|file| file.lock().map(|()| file)).map_err(fail(&lock))?;
        fs::rename(&making, &own).map_err(fail(&making))?;
        Ok(Self(Arc::new(Inner { own, kept, reserve, promised: Mutex::default(), _alive: alive })))
    }

    /// Makes a place for a temporary file of this name; nothing stands there yet.
    ///
    /// It has a directory of its own, in which whoever works on it may leave things: all goes with the file.
    pub fn file(&self, name: &OsStr) -> Result<SpoolFile, SpoolError> {
        let dir = self.0.own.join(uuid::Uuid::new_v4().simple().to_string());
        make(&dir)?;
        let name = if (1..=LONGEST_NAME).contains(&name.len()) { name } else { OsStr::new("content") };
        Ok(SpoolFile { spool: Arc::clone(&self.0), path: dir.join(name), dir })
    }

    /// Moves what was kept as `kept` to a place that is free; false if nothing is.
    pub fn take(&self, kept: &str, file: &SpoolFile) -> bool {
        fs::rename(self.0.kept.join(kept), &file.path).is_ok()
    }
}

impl SpoolFile {
    /// Returns where the file is, or is to be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns its present size in bytes; 0 if there is no file.
    pub fn size(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |found| found.len())
    }

    /// Sees to it that the disk has room for the file to grow to `size` bytes.
    ///
    /// What is kept makes room for it, the oldest first.
    pub fn promise(&self, size: u64) -> Result<(), SpoolError> {
        loop {
            match self.try_promise(size) {
                Err(SpoolError::Full { .. }) if self.spool.forget_oldest() => {}
                done => return done,
            }
        }
    }

    fn try_promise(&self, size: u64) -> Result<(), SpoolError> {
        let own = &self.spool.own;
        let found = nix::sys::statvfs::statvfs(own).map_err(|e| fail(own)(e.into()))?;
        let mut promised = self.spool.promised();
        promised.remove(&self.path);
        let rest = |(path, size): (&PathBuf, &u64)| size.saturating_sub(fs::metadata(path).map_or(0, |f| f.len()));
        let expected: u64 = promised.iter().map(rest).sum();
        let free = (found.blocks_available() * found.fragment_size()).saturating_sub(expected);
        let reserve = self.spool.reserve;
        if free.saturating_sub(size.saturating_sub(self.size())) < reserve {
            return Err(SpoolError::Full { dir: own.parent().unwrap_or(own).into(), size, free, reserve });
        }
        promised.insert(self.path.clone(), size);
        Ok(())
    }

    /// Gives the file away: it is kept for a day for who [takes](Spool::take) it, unless its room is needed.
    pub fn keep(&self, name: &str) -> Result<(), SpoolError> {
        fs::rename(&self.path, self.spool.kept.join(name)).map_err(fail(&self.path))
    }
}

impl Drop for SpoolFile {
    fn drop(&mut self) {
        self.spool.promised().remove(&self.path);
        let _cleaned_later = fs::remove_dir_all(&self.dir);
    }
}

impl Inner {
    fn promised(&self) -> MutexGuard<'_, HashMap<PathBuf, u64>> {
        self.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the oldest of what is kept; false if nothing is.
    fn forget_oldest(&self) -> bool {
        let oldest = entries(&self.kept).min_by_key(|path| fs::metadata(path).and_then(|found| found.modified()).ok());
        oldest.is_some_and(|path| fs::remove_file(path).is_ok())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _cleaned_later = fs::remove_dir_all(&self.own);
    }
}

fn make(dir: &Path) -> Result<(), SpoolError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(fail(dir))
}

fn fail(path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    let path = path.to_path_buf();
    move |source| SpoolError::Io { path, source }
}

impl From<&SpoolError> for ErrorKind {
    fn from(error: &SpoolError) -> Self {
        match error {
            SpoolError::Full { .. } => Self::StorageFull,
            SpoolError::Io { source, .. } => source.kind(),
        }
    }
}

/// Removes what processes left that are gone, and what was kept for too long. What fails is left for next time.
fn clean(dir: &Path, clock: &dyn Clock) {
    for path in entries(dir) {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let gone = match name {
            _ if name == KEPT.as_bytes() => false,
            _ if name.starts_with(MAKING.as_bytes()) => is_stale(&path, clock),
            // Who locks it now holds the only lock that there will be: names are never used again.
            _ => File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok()),
        };
        if gone {
            let _next_time = fs::remove_dir_all(&path);
        }
    }
    for path in entries(&dir.join(KEPT)).filter(|path| is_stale(path, clock)) {
        let _next_time = fs::remove_file(&path);
    }
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn is_stale(path: &Path, clock: &dyn Clock) -> bool {
    let time = fs::metadata(path).and_then(|found| found.modified());
    time.is_ok_and(|time| clock.wall().duration_since(time).is_ok_and(|age| age > STALE))
}

#[cfg(test)]
mod tests {
    use keep_store::base::clock::SystemClock;

    use super::*;

    fn file(spool: &Spool) -> SpoolFile {
        spool.file(OsStr::new("name")).unwrap()
    }

    #[test]
    fn files_go_with_their_owner_and_a_dead_process_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let first = Spool::open(dir.path(), 0, &SystemClock::default()).unwrap();
        let (dropped, held) = (file(&first), file(&first));
        fs::write(dropped.path(), "dropped").unwrap();
        fs::write(held.path(), "held").unwrap();
        let path = dropped.path().to_path_buf();
        drop(dropped);
        assert!(!path.exists());
        // A directory whose lock nobody holds.
        let dead = dir.path().join("dead");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        fs::write(dead.join("content"), "left").unwrap();
        let second = Spool::open(dir.path(), 0, &SystemClock::default()).unwrap();
        assert!(!dead.exists());
        assert_eq!(held.size(), 4, "the files of a living process stay");
        drop((held, first, second));
        assert_eq!(entries(dir.path()).count(), 1, "only what is kept has a place");
    }

    #[test]
    fn what_is_kept_is_taken_once() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path(), 0, &SystemClock::default()).unwrap();
        let part = file(&spool);
        fs::write(part.path(), "part").unwrap();
        part.keep("key").unwrap();
        drop(part);
        drop(spool);
        let spool = Spool::open(dir.path(), 0, &SystemClock::default()).unwrap();
        let taken = file(&spool);
        assert!(spool.take("key", &taken));
        assert_eq!(fs::read(taken.path()).unwrap(), b"part");
        assert!(!spool.take("key", &file(&spool)));
    }

    #[test]
    fn the_reserve_stays_free() {
        let dir = tempfile::tempdir().unwrap();
        let found = nix::sys::statvfs::statvfs(dir.path()).unwrap();
        let free = found.blocks_available() * found.fragment_size();
        // Others use the disk too: half of it is far from what they change.
        let spool = Spool::open(dir.path(), free / 2, &SystemClock::default()).unwrap();
        let (one, two) = (file(&spool), file(&spool));
        one.promise(free / 3).unwrap();
        assert!(matches!(two.promise(free / 3), Err(SpoolError::Full { .. })));
        drop(one);
        two.promise(free / 3).unwrap();
        // What is kept goes first.
        for name in ["a", "b"] {
            let kept = file(&spool);
            fs::write(kept.path(), name).unwrap();
            kept.keep(name).unwrap();
        }
        assert!(file(&spool).promise(free).is_err());
        assert_eq!(entries(&spool.0.kept).count(), 0);
    }
}
