//! The trash of a directory volume: blocks under another name, until their deadline.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use annex_protocol::keep::BlockHash;
use uuid::Uuid;

use super::volume::{Volume, is_at, seconds};
use crate::base::disk::rename_new;
use crate::store::{Condemned, StoreError};

/// Marks are seconds before this one, in the year 2001: a deadline that was never given out.
const MARKS: u128 = 1_000_000_000;

/// Moves a block to the trash; see [`crate::store::Retention::trash`].
pub(super) fn trash(
    volume: &Volume,
    hash: BlockHash,
    deadline: SystemTime,
    unless_since: Option<SystemTime>,
) -> Result<bool, StoreError> {
    let path = volume.block(hash);
    let Some(file) = locked(volume, hash, File::options().read(true))? else { return Ok(false) };
    let touched = file.metadata().and_then(|found| found.modified());
    let touched = touched.map_err(|e| volume.fail("look at", &path, e))?;
    if unless_since.is_some_and(|since| touched >= since) {
        return Ok(false);
    }
    fs::rename(&path, volume.trashed(hash, deadline)).map_err(|e| volume.fail("trash", &path, e))?;
    Ok(true)
}

/// Renews a block's time; see [`crate::store::Retention::touch`].
pub(super) fn touch(volume: &Volume, hash: BlockHash) -> Result<bool, StoreError> {
    let Some(file) = locked(volume, hash, File::options().write(true))? else { return Ok(false) };
    file.set_modified(volume.now()).map_err(|e| volume.fail("touch", &volume.block(hash), e))?;
    Ok(true)
}

/// Opens a block and locks it, as keepstore does: whoever comes second to a block being touched or trashed looks again.
fn locked(volume: &Volume, hash: BlockHash, how: &OpenOptions) -> Result<Option<File>, StoreError> {
    let path = volume.block(hash);
    loop {
        let file = match how.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return volume.still_there().map(|()| None),
            Err(error) => return Err(volume.fail("open", &path, error)),
        };
        file.lock().map_err(|e| volume.fail("lock", &path, e))?;
        if is_at(&file, &path) {
            return Ok(Some(file));
        }
    }
}

/// Brings a block back, durably and touched; see [`crate::store::Retention::untrash`].
pub(super) fn untrash(volume: &Volume, hash: BlockHash) -> Result<bool, StoreError> {
    let path = volume.block(hash);
    let mut found = in_trash(volume, hash)?;
    // The newest is the most likely to be sound.
    found.sort_by_key(|(deadline, _)| std::cmp::Reverse(*deadline));
    for (_, trashed) in found {
        match rename_new(&trashed, &path) {
            Ok(()) => {
                let touched = OpenOptions::new().write(true).open(&path).and_then(|f| f.set_modified(volume.now()));
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

/// Marks due copies with deadlines of long ago, each its own; see [`crate::store::Retention::condemn`].
pub(super) fn condemn(volume: &Volume, hash: BlockHash, due: SystemTime) -> Result<Vec<Condemned>, StoreError> {
    let mut condemned = Vec::new();
    for (deadline, path) in in_trash(volume, hash)? {
        if seconds(deadline) > seconds(due) {
            continue;
        }
        let mark = (Uuid::new_v4().as_u128() % MARKS) as u64;
        let to = marked(volume, hash, mark);
        let size = fs::metadata(&path).map_or(0, |found| found.len());
        match rename_new(&path, &to) {
            Ok(()) => condemned.push(Condemned { hash, size, mark }),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(volume.fail("mark", &path, error)),
        }
    }
    Ok(condemned)
}

/// Deletes a marked copy; see [`crate::store::Retention::delete`].
pub(super) fn delete(volume: &Volume, copy: Condemned) -> Result<bool, StoreError> {
    let path = marked(volume, copy.hash, copy.mark);
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(volume.fail("delete", &path, error)),
    }
}

/// Reads the deadline from the name of a file in the trash, `<hash>.trash.<seconds>`.
pub(super) fn deadline(name: &str) -> Option<(BlockHash, SystemTime)> {
    let (hash, deadline) = name.split_once(".trash.")?;
    Some((BlockHash::parse(hash.as_bytes())?, UNIX_EPOCH.checked_add(Duration::from_secs(deadline.parse().ok()?))?))
}

fn marked(volume: &Volume, hash: BlockHash, mark: u64) -> PathBuf {
    volume.trashed(hash, UNIX_EPOCH + Duration::from_secs(mark % MARKS as u64))
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
