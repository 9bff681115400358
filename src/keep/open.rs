//! Opens a store in a directory: blocks, index and key side by side.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Create, KeepError, KeepStore, Options, Sealer};
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
    let path = key_path.clone();
    let key = tokio::task::spawn_blocking(move || read_key(&path)).await.map_err(|_| lost())??;
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
        None => tokio::task::spawn_blocking(move || make_key(&key_path)).await.map_err(|_| lost())??,
    };
    let store = KeepStore::new(Arc::new(blocks), Arc::new(index), Sealer::new(&key), options);
    if let Err(error) = store.inner.settle_left().await {
        // Each of these blocks is put in place when somebody misses it, too.
        tracing::warn!(store = store.name(), %error, "what was left by a process that died could not be put in place");
    }
    Ok(store)
}

fn read_key(path: &Path) -> Result<Option<Vec<u8>>, KeepError> {
    match fs::read(path) {
        Ok(text) => {
            let key = text.trim_ascii().to_vec();
            if key.len() < 32 {
                let source = io::Error::new(ErrorKind::InvalidData, "it is too short");
                return Err(KeepError::Key { path: path.to_path_buf(), source });
            }
            Ok(Some(key))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(KeepError::Key { path: path.to_path_buf(), source }),
    }
}

/// Makes the key, unless somebody was faster; returns the one that is there.
fn make_key(path: &Path) -> Result<Vec<u8>, KeepError> {
    let temporary = path.with_extension(uuid::Uuid::new_v4().simple().to_string());
    let made = write_key(&temporary).and_then(|()| match fs::hard_link(&temporary, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked.and_then(|()| sync_parent(path)),
    });
    let _gone = fs::remove_file(&temporary);
    made.map_err(|source| KeepError::Key { path: path.to_path_buf(), source })?;
    let source = || io::Error::from(ErrorKind::NotFound);
    read_key(path)?.ok_or_else(|| KeepError::Key { path: path.to_path_buf(), source: source() })
}

fn write_key(path: &PathBuf) -> io::Result<()> {
    let mut random = [0; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    let mut text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    text.push('\n');
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
}
