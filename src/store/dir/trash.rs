//! The trash of a directory volume: blocks under another name, until their deadline.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::store::{BlockHash, StoreError};

use super::place::rename_new;
use super::volume::{Volume, is_at, seconds};

/// Moves a block to the trash; see [`crate::store::BlockStore::trash`].
pub(super) fn trash(
    volume: &Volume,
    hash: BlockHash,
    deadline: SystemTime,
    unless_since: Option<SystemTime>,
) -> Result<bool, StoreError> {
    let path = volume.block(hash);
    loop {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return volume.still_there().map(|()| false),
            Err(error) => return Err(volume.fail("open", &path, error)),
        };
        file.lock().map_err(|e| volume.fail("lock", &path, e))?;
        if !is_at(&file, &path) {
            continue;
        }
        let touched = file.metadata().and_then(|found| found.modified());
        let touched = touched.map_err(|e| volume.fail("look at", &path, e))?;
        if unless_since.is_some_and(|since| touched >= since) {
            return Ok(false);
        }
        fs::rename(&path, volume.trashed(hash, deadline)).map_err(|e| volume.fail("trash", &path, e))?;
        return Ok(true);
    }
}

/// Brings a block back, durably and touched; see [`crate::store::BlockStore::untrash`].
pub(super) fn untrash(volume: &Volume, hash: BlockHash) -> Result<bool, StoreError> {
    let path = volume.block(hash);
    let mut found = in_trash(volume, hash)?;
    // The newest is the most likely to be sound.
    found.sort_by_key(|(deadline, _)| std::cmp::Reverse(*deadline));
    for (_, trashed) in found {
        match rename_new(&trashed, &path) {
            Ok(()) => {
                let touched = OpenOptions::new().write(true).open(&path).and_then(|f| f.set_modified(SystemTime::now()));
                touched.map_err(|e| volume.fail("touch", &path, e))?;
                volume.sync_folder(&volume.folder(hash))?;
                return Ok(true);
            }
            Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => {}
            Err(error) => return Err(volume.fail("untrash", &trashed, error)),
        }
    }
    if path.exists() {
        return Ok(true);
    }
    volume.still_there().map(|()| false)
}

/// Deletes for good what is due; see [`crate::store::BlockStore::delete_trashed`].
pub(super) fn delete(volume: &Volume, hash: BlockHash, now: SystemTime) -> Result<u64, StoreError> {
    let mut freed = 0;
    for (deadline, path) in in_trash(volume, hash)? {
        if seconds(deadline) > seconds(now) {
            continue;
        }
        let size = fs::metadata(&path).map_or(0, |found| found.len());
        match fs::remove_file(&path) {
            Ok(()) => freed += size,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(volume.fail("delete", &path, error)),
        }
    }
    Ok(freed)
}

/// Reads the deadline from the name of a file in the trash, `<hash>.trash.<seconds>`.
pub(super) fn deadline(name: &str) -> Option<(BlockHash, SystemTime)> {
    let (hash, deadline) = name.split_once(".trash.")?;
    Some((hash.parse().ok()?, UNIX_EPOCH.checked_add(Duration::from_secs(deadline.parse().ok()?))?))
}

fn in_trash(volume: &Volume, hash: BlockHash) -> Result<Vec<(SystemTime, PathBuf)>, StoreError> {
    let folder = volume.folder(hash);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(volume.fail("list", &folder, error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| volume.fail("list", &folder, e))?;
        match entry.file_name().to_str().and_then(deadline) {
            Some((of, deadline)) if of == hash => found.push((deadline, entry.path())),
            _ => {}
        }
    }
    Ok(found)
}
