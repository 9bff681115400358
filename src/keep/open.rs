//! Opens a store in a directory: blocks, index and key side by side.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use super::{Create, KeepError, KeepStore, Options, Sealer};
use crate::disk::{make_secret, read_secret};
use crate::index::IndexError;
use crate::index::sqlite::{Mode, SqliteIndex};
use crate::store::StoreError;
use crate::store::dir::{DirOptions, DirStore};

impl KeepStore {
    /// Opens the store in `dir`; many processes may have it open at once.
    ///
    /// Beside the blocks in keepstore's layout stands `.annex-keep/` with `index.db` and `signing-key`. The key is made last: a
    /// store that has a key but no index has lost it, and says so rather than that it holds nothing.
    pub async fn open(dir: &Path, create: Create, options: Options) -> Result<Self, KeepError> {
        open(dir, create, options, false).await
    }

    /// Opens the store in `dir` in order to rebuild its index, which may be missing or damaged.
    pub async fn open_for_reindex(dir: &Path, options: Options) -> Result<Self, KeepError> {
        let create = if dir.is_dir() { Create::IfMissing } else { Create::Never };
        open(dir, create, options, true).await
    }
}

async fn open(dir: &Path, create: Create, options: Options, rebuild: bool) -> Result<KeepStore, KeepError> {
    let blocks = DirStore::open(dir, create, DirOptions { reserve: options.reserve }).await?;
    let key_path = blocks.own().join("signing-key");
    let index_path = blocks.own().join("index.db");
    let lost = || KeepError::from(StoreError::Lost { store: dir.display().to_string() });
    let bad_key = |source| KeepError::Key { path: key_path.clone(), source };
    let path = key_path.clone();
    let key = tokio::task::spawn_blocking(move || read_secret(&path)).await.map_err(|_| lost())?.map_err(&bad_key)?;
    let mode = match (rebuild, &key) {
        (true, _) => Mode::Rebuild,
        (false, Some(_)) => Mode::Use,
        (false, None) => Mode::Create,
    };
    let index = match SqliteIndex::open(&index_path, mode).await {
        // What cannot be written can hardly be a full disk's fault alone; say what is the matter with the place.
        Err(IndexError::Unwritable { reason, .. }) => {
            let source = io::Error::new(ErrorKind::PermissionDenied, reason);
            let store = dir.display().to_string();
            return Err(StoreError::Unwritable { store, operation: "open", path: index_path, source }.into());
        }
        opened => opened?,
    };
    let key = match key {
        Some(key) => key,
        None => {
            let path = key_path.clone();
            tokio::task::spawn_blocking(move || make_secret(&path)).await.map_err(|_| lost())?.map_err(bad_key)?
        }
    };
    let store = KeepStore::new(Arc::new(blocks), Arc::new(index), Sealer::new(&key), options);
    if let Err(error) = store.inner.settle_left().await {
        // Each of these blocks is put in place when somebody misses it, too.
        tracing::warn!(store = store.name(), %error, "what was left by a process that died could not be put in place");
    }
    Ok(store)
}
