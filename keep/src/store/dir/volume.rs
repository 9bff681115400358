//! Paths of a volume, and what its errors mean.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use annex_protocol::keep::BlockHash;

use super::{Create, DirOptions, OWN};
use crate::base::clock::SharedClock;
use crate::base::disk;
use crate::store::{Block, Space, Stat, StoreError};

/// The volume's place and bounds. All methods block.
#[derive(Debug)]
pub(super) struct Volume {
    root: PathBuf,
    reserve: u64,
    clock: SharedClock,
    /// The root, open for as long as the volume: what the disk failed to write is told to those who had it open then.
    opened: File,
}

/// Age from which a temporary file belongs to nobody: a block of 64 MiB does not take a day.
const STALE: Duration = Duration::from_secs(24 * 3600);

impl Volume {
    pub(super) fn open(root: PathBuf, create: Create, options: DirOptions) -> Result<Self, StoreError> {
        let own = root.join(OWN);
        let failed = |operation: &'static str, path: &Path| {
            let (store, path) = (root.display().to_string(), path.to_path_buf());
            move |error| failure(store, operation, path, error)
        };
        if create == Create::Never && !own.is_dir() {
            return Err(StoreError::Missing { path: root });
        }
        if create == Create::IfMissing {
            let made = DirBuilder::new().recursive(true).mode(0o755).create(&root);
            made.map_err(failed("make directory", &root))?;
            make(&own, 0o700).map_err(failed("make directory", &own))?;
        }
        let opened = File::open(&root).map_err(failed("open", &root))?;
        let DirOptions { reserve, clock } = options;
        let volume = Self { root, reserve, clock, opened };
        volume.make(&volume.temporary(), 0o700)?;
        volume.make(&volume.damaged(), 0o700)?;
        volume.clean();
        Ok(volume)
    }

    pub(super) fn name(&self) -> String {
        self.root.display().to_string()
    }

    /// The time of what is touched or set aside now.
    pub(super) fn now(&self) -> SystemTime {
        self.clock.wall()
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn own(&self) -> PathBuf {
        self.root.join(OWN)
    }

    pub(super) fn temporary(&self) -> PathBuf {
        self.own().join("tmp")
    }

    pub(super) fn damaged(&self) -> PathBuf {
        self.own().join("damaged")
    }

    /// The folder of a block.
    pub(super) fn folder(&self, hash: BlockHash) -> PathBuf {
        let name = hash.to_string();
        self.root.join(name.get(..3).unwrap_or_default())
    }

    pub(super) fn block(&self, hash: BlockHash) -> PathBuf {
        self.folder(hash).join(hash.to_string())
    }

    pub(super) fn trashed(&self, hash: BlockHash, deadline: SystemTime) -> PathBuf {
        self.folder(hash).join(format!("{hash}.trash.{}", seconds(deadline)))
    }

    pub(super) fn stat(&self, hash: BlockHash) -> Result<Option<Stat>, StoreError> {
        let path = self.block(hash);
        match fs::metadata(&path) {
            Ok(found) => Ok(Some(Stat { size: found.len(), time: found.modified().unwrap_or(UNIX_EPOCH) })),
            Err(error) if error.kind() == ErrorKind::NotFound => self.still_there().map(|()| None),
            Err(error) => Err(self.fail("look at", &path, error)),
        }
    }

    /// The blocks that are not in place with their size.
    pub(super) fn missing(&self, blocks: &[Block]) -> Result<Vec<Block>, StoreError> {
        let mut missing = Vec::new();
        for block in blocks {
            let path = self.block(block.hash);
            match fs::metadata(&path) {
                Ok(found) if found.len() == u64::from(block.size) => {}
                Ok(_) => missing.push(*block),
                Err(error) if error.kind() == ErrorKind::NotFound => missing.push(*block),
                Err(error) => return Err(self.fail("look at", &path, error)),
            }
        }
        if !missing.is_empty() {
            self.still_there()?;
        }
        Ok(missing)
    }

    /// Fails when the volume itself has gone: then nothing can be said about its blocks.
    pub(super) fn still_there(&self) -> Result<(), StoreError> {
        if self.own().is_dir() { Ok(()) } else { Err(StoreError::Missing { path: self.root.clone() }) }
    }

    pub(super) fn space(&self) -> Result<Space, StoreError> {
        let (total, free) = disk::space(&self.root).map_err(|e| self.fail("look at", &self.root, e))?;
        self.still_there()?;
        Ok(Space { total, free: free.saturating_sub(self.reserve) })
    }

    /// Fails when there is no room for `size` more bytes above the reserve.
    pub(super) fn room_for(&self, size: u64) -> Result<(), StoreError> {
        if self.space()?.free < size { Err(StoreError::Full { store: self.name() }) } else { Ok(()) }
    }

    /// Turns what happened into an error that says who must act.
    pub(super) fn fail(&self, operation: &'static str, path: &Path, source: io::Error) -> StoreError {
        failure(self.name(), operation, path.to_path_buf(), source)
    }

    pub(super) fn lost(&self) -> StoreError {
        StoreError::Lost { store: self.name() }
    }

    /// Makes the folder of a block, but never the root: an unmounted root is never recreated.
    pub(super) fn make_folder(&self, hash: BlockHash) -> Result<(), StoreError> {
        self.make(&self.folder(hash), 0o755)
    }

    /// Makes everything durable that was written to the volume's file system before this call.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        nix::unistd::syncfs(&self.opened).map_err(|e| self.fail("sync", &self.root, e.into()))
    }

    /// Makes the names in a directory durable.
    pub(super) fn sync_folder(&self, folder: &Path) -> Result<(), StoreError> {
        crate::base::disk::sync_folder(folder).map_err(|e| self.fail("sync", folder, e))
    }

    /// Sets a block aside, if its path still leads to `file`; returns whether it did.
    ///
    /// `file` is locked against a repair or a touch at the same time.
    pub(super) fn set_aside(&self, hash: BlockHash, file: &File, reason: &str) -> Result<bool, StoreError> {
        let path = self.block(hash);
        file.lock().map_err(|e| self.fail("lock", &path, e))?;
        if !is_at(file, &path) {
            return Ok(false);
        }
        let to = self.damaged().join(format!("{hash}.{}", seconds(self.now())));
        tracing::error!(store = %self.root.display(), block = %hash, reason, to = %to.display(), "damaged block set aside");
        fs::rename(&path, &to).map_err(|e| self.fail("set aside", &path, e))?;
        Ok(true)
    }

    fn make(&self, path: &Path, mode: u32) -> Result<(), StoreError> {
        make(path, mode).map_err(|e| self.fail("make directory", path, e))
    }

    /// Removes temporary files that nobody can be writing any more. Those that cannot be removed stay until the next
    /// time.
    fn clean(&self) {
        let Ok(entries) = fs::read_dir(self.temporary()) else { return };
        for entry in entries.flatten() {
            if disk::is_older(&entry.path(), STALE, &*self.clock) {
                let _next_time = fs::remove_file(entry.path());
            }
        }
    }
}

/// Makes a directory that may be there, and none above it.
fn make(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn failure(store: String, operation: &'static str, path: PathBuf, source: io::Error) -> StoreError {
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::Full { store },
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
            StoreError::Unwritable { store, operation, path, source }
        }
        _ => StoreError::Io { store, operation, path, source },
    }
}

/// Tells whether `path` leads to `file`.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(opened), Ok(found)) = (file.metadata(), fs::metadata(path)) else { return false };
    (opened.dev(), opened.ino()) == (found.dev(), found.ino())
}

/// Whole seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
