//! Locks on files that git-annex sees, and that see git-annex's.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// A lock on a whole file, held until dropped.
///
/// An open-file-description lock: git-annex's `fcntl` locks see it (they would not see `flock`), and unlike them it
/// keeps threads of one process apart, and is not lost when another descriptor of the file is closed.
#[derive(Debug)]
pub struct FileLock(#[expect(dead_code, reason = "the lock goes with the open file")] File);

/// Who else may hold a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Other holders of shared locks.
    Shared,
    /// Nobody.
    Exclusive,
}

impl FileLock {
    /// Waits for the exclusive lock of a file, which is made if it is missing. Blocks.
    pub fn wait(path: &Path) -> io::Result<Self> {
        loop {
            let file = open(path, Mode::Exclusive, true)?;
            set(&file, Mode::Exclusive, true)?;
            if is_at(&file, path) {
                return Ok(Self(file));
            }
        }
    }

    /// Takes a lock unless somebody has one that excludes it; the file is made if it is missing. Blocks only for the disk.
    pub fn try_make(path: &Path, mode: Mode) -> io::Result<Option<Self>> {
        Self::attempt(path, mode, true)
    }

    /// Takes a lock on a file that must be there unless somebody has one that excludes it. Blocks only for the disk.
    pub fn try_existing(path: &Path, mode: Mode) -> io::Result<Option<Self>> {
        Self::attempt(path, mode, false)
    }

    fn attempt(path: &Path, mode: Mode, create: bool) -> io::Result<Option<Self>> {
        loop {
            let file = open(path, mode, create)?;
            if !set(&file, mode, false)? {
                return Ok(None);
            }
            // Whoever ends a lock may remove its file: then it locks nothing.
            if is_at(&file, path) {
                return Ok(Some(Self(file)));
            }
        }
    }
}

fn open(path: &Path, mode: Mode, create: bool) -> io::Result<File> {
    // A shared lock needs no more than reading, and content is seldom writable.
    let write = mode == Mode::Exclusive || create;
    OpenOptions::new().read(true).write(write).create(create).truncate(false).open(path)
}

/// Takes the lock; false if it cannot be had without waiting.
fn set(file: &File, mode: Mode, wait: bool) -> io::Result<bool> {
    let kind = if mode == Mode::Exclusive { libc::F_WRLCK } else { libc::F_RDLCK };
    let whole_file = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    loop {
        let argument = if wait { FcntlArg::F_OFD_SETLKW(&whole_file) } else { FcntlArg::F_OFD_SETLK(&whole_file) };
        match fcntl(file, argument) {
            Ok(_) => return Ok(true),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN | Errno::EACCES) if !wait => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Tells whether `path` leads to `file`.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(opened), Ok(found)) = (file.metadata(), std::fs::metadata(path)) else { return false };
    (opened.dev(), opened.ino()) == (found.dev(), found.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_exclude_each_other_in_one_process_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let shared = FileLock::try_make(&path, Mode::Shared).unwrap().unwrap();
        let second = FileLock::try_existing(&path, Mode::Shared).unwrap().unwrap();
        assert!(FileLock::try_make(&path, Mode::Exclusive).unwrap().is_none());
        drop((shared, second));
        let alone = FileLock::try_make(&path, Mode::Exclusive).unwrap().unwrap();
        assert!(FileLock::try_existing(&path, Mode::Shared).unwrap().is_none());
        drop(alone);
        assert!(FileLock::try_existing(&dir.path().join("none"), Mode::Shared).is_err());
    }
}
