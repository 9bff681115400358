//! Connections that read.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::open;
use crate::base::task::try_blocking;
use crate::index::IndexError;

/// Reading connections, as many as reads have run at once; the spare ones wait here.
#[derive(Debug, Clone)]
pub(super) struct Readers {
    path: Arc<PathBuf>,
    spare: Arc<Mutex<Vec<Connection>>>,
}

/// Connections kept open while nothing is read.
const SPARE: usize = 8;

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: Arc::new(path.to_path_buf()), spare: Arc::default() }
    }

    /// Runs `query` on this thread, which is to be one that may block.
    pub(super) fn read_here<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, IndexError> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = spare.map_or_else(|| open::reader(&self.path), Ok)?;
        let found = query(&connection).map_err(|error| open::failure(&self.path, &error));
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE {
            spare.push(connection);
        }
        found
    }

    /// Runs `query` on a blocking thread.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, IndexError> {
        let readers = self.clone();
        let work = move || readers.read_here(query);
        let lost =
            || IndexError::Failed { path: self.path.to_path_buf(), reason: "the task ended unexpectedly".into() };
        try_blocking(work).await.map_err(|_| lost())?
    }
}
