//! Opens a store in a directory, where blocks, index and key stand side by side, or in a bucket or on servers, whose index
//! stands on this machine.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;

use super::remembered::remembered;
use super::servers::ServerStore;
use super::{Create, KeepError, KeepStore, Manifests, Options, Sealer};
use crate::base::clock::SharedClock;
use crate::base::disk::{check_secret, fresh_secret, make_secret, read_secret, sync_folder};
use crate::index::IndexError;
use crate::index::nothing::NoIndex;
use crate::index::sqlite::{Mode, SqliteIndex};
use crate::store::dir::{DirOptions, DirStore};
use crate::store::s3::S3Store;
use crate::store::{Blocks, StoreError};

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

    /// Opens the store in a bucket, whose index stands in the directory `dir` of this machine; many processes of this
    /// machine may have it open at once. `dir` is made if it is missing and may be.
    ///
    /// The key stands in the bucket as `.annex-keep/signing-key`, so the index can be rebuilt on another machine. The index is
    /// one: removals ask it what is still needed. Which it is stands in the bucket, and others are refused.
    pub async fn open_s3(blocks: S3Store, dir: &Path, create: Create, options: Options) -> Result<Self, KeepError> {
        open_s3(blocks, dir, create, options, false).await
    }

    /// Opens the store in a bucket in order to rebuild its index in `dir`, which counts from now on in place of any other.
    pub async fn open_s3_for_reindex(blocks: S3Store, dir: &Path, options: Options) -> Result<Self, KeepError> {
        open_s3(blocks, dir, Create::IfMissing, options, true).await
    }

    /// Opens the store on servers whose index stands in the directory `dir` of this machine, made if it is missing and may be;
    /// many processes of this machine may have it open at once.
    ///
    /// The index is the only record: servers have no names for blocks, so no manifests are written there. It has the blocks'
    /// signatures, too.
    pub async fn open_servers(
        blocks: ServerStore,
        dir: &Path,
        create: Create,
        options: Options,
    ) -> Result<Self, KeepError> {
        let path = dir.join("index.db");
        let mode = if create == Create::IfMissing { Mode::Create } else { Mode::Use };
        let store = blocks.name();
        let index = match open_beside(dir, mode, &options.clock).await {
            Err(IndexError::Missing { .. }) => return Err(KeepError::NoRecord { store, index: path }),
            opened => Arc::new(opened?),
        };
        let options = Options { manifests: Manifests::Elsewhere, ..options };
        let blocks = remembered(blocks, Arc::clone(&index) as _);
        Ok(Self::new(blocks, index, Sealer::new(b""), options))
    }

    /// Opens a store on servers whose entries are recorded elsewhere, as [`KeepStore::unindexed`] does. Unfinished uploads
    /// are remembered in the directory `dir` of this machine, which may be lost: then they begin anew.
    pub async fn open_unindexed(blocks: ServerStore, dir: &Path, options: Options) -> Result<Self, KeepError> {
        let index = Arc::new(open_beside(dir, Mode::Create, &options.clock).await?);
        let options = Options { manifests: Manifests::Elsewhere, ..options };
        let blocks = remembered(blocks, Arc::clone(&index) as _);
        Ok(Self::new(blocks, NoIndex::with_uploads(index), Sealer::new(b""), options))
    }
}

/// Opens the index of blocks that are elsewhere; makes its directory if it may be new.
async fn open_beside(dir: &Path, mode: Mode, clock: &SharedClock) -> Result<SqliteIndex, IndexError> {
    let path = dir.join("index.db");
    if mode == Mode::Create {
        let made = tokio::fs::create_dir_all(dir).await;
        made.map_err(|error| IndexError::Unwritable { path: path.clone(), reason: error.to_string() })?;
    }
    SqliteIndex::open(&path, mode, Arc::clone(clock)).await
}

/// The file beside the index, and the object in the bucket, that say which index is the bucket's.
const INDEX_OF: &str = "index-of";

/// The key's name, in a directory and in a bucket.
const KEY: &str = "signing-key";

async fn open_s3(
    blocks: S3Store,
    dir: &Path,
    create: Create,
    options: Options,
    rebuild: bool,
) -> Result<KeepStore, KeepError> {
    let name = blocks.name();
    let bad_key = |source| KeepError::Key { path: KEY.into(), source };
    let key = blocks.own(KEY).await?.map(|text| check_secret(&text)).transpose().map_err(bad_key)?;
    if key.is_none() && create == Create::Never {
        return Err(StoreError::Missing { path: name.into() }.into());
    }
    let mode = match (rebuild, &key) {
        (true, _) => Mode::Rebuild,
        (false, Some(_)) => Mode::Use,
        (false, None) => Mode::Create,
    };
    let (own, folder) = (uuid::Uuid::new_v4().to_string(), dir.to_path_buf());
    let identify = move || match mode {
        // An index that was lost is told of below.
        Mode::Use => fs::read_to_string(folder.join(INDEX_OF)).or(Ok(own)),
        Mode::Create | Mode::Rebuild => identify(&folder, &own),
    };
    let lost = || KeepError::from(StoreError::Lost { store: name.clone() });
    let identity = tokio::task::spawn_blocking(identify).await.map_err(|_| lost())?;
    let at = |source| StoreError::Io { store: name.clone(), operation: "write", path: dir.join(INDEX_OF), source };
    let identity = identity.map_err(at)?;
    let index = SqliteIndex::open(&dir.join("index.db"), mode, Arc::clone(&options.clock)).await?;
    if rebuild {
        blocks.replace_own(INDEX_OF, identity.clone().into()).await?;
    } else if !blocks.make_own(INDEX_OF, identity.clone().into()).await?
        && blocks.own(INDEX_OF).await?.as_deref() != Some(identity.as_bytes())
    {
        return Err(KeepError::Elsewhere { store: name, index: dir.to_path_buf() });
    }
    let key = match key {
        Some(key) => key,
        None => {
            let fresh = tokio::task::spawn_blocking(fresh_secret).await.map_err(|_| lost())?.map_err(bad_key)?;
            blocks.make_own(KEY, fresh.into()).await?;
            check_secret(&blocks.own(KEY).await?.ok_or_else(lost)?).map_err(bad_key)?
        }
    };
    Ok(opened(KeepStore::new(blocks, index, Sealer::new(&key), options)).await)
}

/// Returns what an index is known by, made if it is missing, durably.
fn identify(folder: &Path, own: &str) -> io::Result<String> {
    fs::create_dir_all(folder)?;
    let path = folder.join(INDEX_OF);
    match fs::OpenOptions::new().write(true).create_new(true).open(&path) {
        Ok(mut file) => {
            file.write_all(own.as_bytes())?;
            file.sync_all()?;
            sync_folder(folder)?;
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    fs::read_to_string(&path)
}

async fn open(dir: &Path, create: Create, options: Options, rebuild: bool) -> Result<KeepStore, KeepError> {
    let clock = Arc::clone(&options.clock);
    let blocks = DirStore::open(dir, create, DirOptions { reserve: options.reserve, clock }).await?;
    let key_path = blocks.own().join(KEY);
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
    let index = match SqliteIndex::open(&index_path, mode, Arc::clone(&options.clock)).await {
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
    Ok(opened(KeepStore::new(blocks, index, Sealer::new(&key), options)).await)
}

/// Completes what processes that died have left undone.
async fn opened(store: KeepStore) -> KeepStore {
    if let Err(error) = store.inner.settle_left().await {
        // Each of these blocks is put in place when somebody misses it, too.
        tracing::warn!(store = store.name(), %error, "what was left by a process that died could not be put in place");
    }
    store
}
