//! `journal.lck`, the lock under which git-annex changes its branch.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// The lock, held until dropped.
pub(super) struct JournalLock(#[expect(dead_code, reason = "the lock goes with the open file")] File);

impl JournalLock {
    /// Waits for the lock. Blocks.
    ///
    /// An open-file-description lock: git-annex's `fcntl` locks see it (they would not see `flock`), and unlike them it
    /// keeps threads of one process apart.
    pub(super) fn take(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let whole_file = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        loop {
            match fcntl(&file, FcntlArg::F_OFD_SETLKW(&whole_file)) {
                Ok(_) => return Ok(Self(file)),
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
