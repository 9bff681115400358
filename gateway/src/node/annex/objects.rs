//! Content in a git-annex repository: found, put in place, removed. All of it blocks.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use annex_protocol::key::Key;
use annex_protocol::log::Status;
use keep_store::base::disk;

use super::frozen::{RACES, modify, name};
use super::lock::Lockable;
use super::obstacle::Obstacle;
use super::repository::Repository;
use crate::node::error::NodeError;

impl Repository {
    /// Returns where a key's content may be, the usual place first.
    fn places(&self, key: &Key) -> [PathBuf; 2] {
        let objects = self.annex().join("objects");
        let (lower, mixed) = (key.hash_dir_lower(), key.hash_dir_mixed());
        let order = if self.settings.bare { [lower, mixed] } else { [mixed, lower] };
        order.map(|folder| objects.join(folder).join(name(key)).join(name(key)))
    }

    /// Finds a key's content and its size.
    ///
    /// A file that has not the size that its key names is not the key's content: git-annex's fsck moves such files away.
    pub(super) fn find(&self, key: &Key) -> Result<Option<(PathBuf, u64)>, Obstacle> {
        for path in self.places(key) {
            let found = disk::look(&path).map_err(NodeError::at(&path))?;
            let right = |size| key.content_size().is_none_or(|wanted| wanted == size);
            if let Some(found) = found.filter(|found| found.is_file() && right(found.len())) {
                return Ok(Some((path, found.len())));
            }
        }
        // Absent is only what a repository that is there does not have.
        self.current().map(|_| None)
    }

    /// Puts a complete file in place as a key's content, durably. What is there already stays if it has the right size.
    pub(super) fn place(&self, key: &Key, complete: &Path) -> Result<(), NodeError> {
        let [target, _] = self.places(key);
        let Some(folder) = target.parent() else { return Err(NodeError::Failed("no folder".to_owned())) };
        disk::freeze(complete).map_err(NodeError::at(complete))?;
        for _ in 0..RACES {
            if let Some((path, _)) = self.find(key)? {
                // Somebody was first; he may not have synced, as git-annex does not.
                let synced = File::open(&path).and_then(|file| file.sync_all());
                match synced.and_then(|()| path.parent().map_or(Ok(()), disk::sync_folder)) {
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    Err(error) => return Err(NodeError::at(&path)(error)),
                    Ok(()) => return disk::remove(complete).map_err(NodeError::at(complete)),
                }
            }
            let renamed = disk::make_folders(&self.annex(), folder)
                .and_then(|()| modify(folder, || disk::rename_new(complete, &target)))
                .and_then(|()| disk::sync_folder(folder));
            match renamed {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => self.set_aside(key, &target)?,
                // A removal took the empty directories away.
                Err(error) if error.kind() == ErrorKind::NotFound && complete.exists() => {}
                Err(error) => return Err(NodeError::at(&target)(error)),
            }
        }
        Err(NodeError::Busy(format!("{}: others keep changing it; try again", target.display())))
    }

    /// Moves a file that has not its key's size where git-annex's fsck would; a good one stays.
    fn set_aside(&self, key: &Key, path: &Path) -> Result<(), NodeError> {
        let Some(_lock) = Lockable { content: path, files: self.settings.lock_files }.exclusive()? else {
            return Ok(());
        };
        if self.find(key)?.is_some() {
            return Ok(());
        }
        self.move_to_bad(key, path)
    }

    /// Moves content that is not its key's where git-annex's fsck would, and records that it is gone.
    pub(super) fn condemn(&self, key: &Key) -> Result<(), Obstacle> {
        let settings = self.current()?;
        self.refuse_unlocked(key, true)?;
        for path in self.places(key) {
            if disk::look(&path).map_err(NodeError::at(&path))?.is_some() {
                let Some(_lock) = Lockable { content: &path, files: settings.lock_files }.exclusive()? else {
                    return Err(NodeError::Locked("the content is locked against removal".to_owned()).into());
                };
                self.move_to_bad(key, &path)?;
            }
        }
        Ok(self.record(key, Status::Missing)?)
    }

    fn move_to_bad(&self, key: &Key, path: &Path) -> Result<(), NodeError> {
        let bad = self.annex().join("bad");
        let Some(folder) = path.parent() else { return Ok(()) };
        tracing::warn!("{}: is not the content of its key, moved to {}", path.display(), bad.display());
        disk::make_folders(&self.annex(), &bad).map_err(NodeError::at(&bad))?;
        modify(folder, || fs::rename(path, bad.join(name(key)))).map_err(NodeError::at(path))
    }

    /// Removes a key's content, unless it is locked, and records that it is gone.
    pub(super) fn remove(&self, key: &Key) -> Result<(), Obstacle> {
        let settings = self.current()?;
        self.refuse_unlocked(key, true)?;
        for path in self.places(key) {
            if disk::look(&path).map_err(NodeError::at(&path))?.is_some() {
                self.remove_file(&path, settings.lock_files)?;
            }
        }
        Ok(self.record(key, Status::Missing)?)
    }

    fn remove_file(&self, path: &Path, lock_files: bool) -> Result<(), NodeError> {
        let lockable = Lockable { content: path, files: lock_files };
        let taken = lockable.exclusive();
        if taken.is_err() && disk::look(path).map_err(NodeError::at(path))?.is_none() {
            // Somebody else has just removed it.
            return Ok(());
        }
        let Some(lock) = taken? else {
            return Err(NodeError::Locked("the content is locked against removal".to_owned()));
        };
        if lockable.retained(&*self.clock)? {
            lock.release();
            return Err(NodeError::Locked("the content is locked against removal for some minutes yet".to_owned()));
        }
        let Some(folder) = path.parent() else { return Ok(()) };
        let removed = disk::thaw(folder).and_then(|_| disk::remove(path)).and_then(|()| lockable.clear());
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(NodeError::at(path)(error)),
            _ => {}
        }
        drop(lock);
        disk::remove_empty(&self.annex().join("objects"), folder);
        Ok(())
    }
}
