//! Keeps the tasks and processes of this machine apart that change the same block.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use annex_protocol::keep::BlockHash;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::base::disk::FileLock;
use crate::store::StoreError;

/// Locks, one for the blocks whose names begin with the same byte.
pub(super) struct Locks {
    folder: PathBuf,
    own: Vec<Arc<Mutex<()>>>,
}

/// A lock that is held until it is dropped.
pub(super) struct Held(#[expect(dead_code, reason = "held")] (FileLock, OwnedMutexGuard<()>));

impl Locks {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf(), own: (0..=u8::MAX).map(|_| Arc::default()).collect() }
    }

    /// Waits for the lock of a block.
    pub(super) async fn of(&self, store: &str, hash: BlockHash) -> Result<Held, StoreError> {
        let name = hash.to_string().get(..2).unwrap_or_default().to_owned();
        let lost = || StoreError::Lost { store: store.to_owned() };
        let own = usize::from_str_radix(&name, 16).ok().and_then(|byte| self.own.get(byte)).ok_or_else(lost)?;
        // Only one task of this process at a time waits for other processes, since waiting takes a thread.
        let own = Arc::clone(own).lock_owned().await;
        let path = self.folder.join(format!("{name}.lock"));
        let file = path.clone();
        let locked = tokio::task::spawn_blocking(move || FileLock::wait(&file)).await.map_err(|_| lost())?;
        let locked =
            locked.map_err(|source| StoreError::Io { store: store.to_owned(), operation: "lock", path, source })?;
        Ok(Held((locked, own)))
    }
}
