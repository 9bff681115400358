//! `journal.lck`, the lock under which git-annex changes its branch.

use std::io;
use std::path::Path;

use keep_store::base::disk::FileLock;

/// The lock, held until dropped.
pub(super) struct JournalLock(#[expect(dead_code, reason = "the lock goes with the value")] FileLock);

impl JournalLock {
    /// Waits for the lock. Blocks.
    pub(super) fn take(path: &Path) -> io::Result<Self> {
        FileLock::wait(path).map(Self)
    }
}
