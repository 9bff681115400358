//! Where content stands in a directory special remote. All of it blocks.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use annex_protocol::key::Key;
use keep_store::base::disk::{self, FileLock, Part};

use super::root::Directory;
use crate::node::chunks::{Chunking, unknown_count};
use crate::node::error::NodeError;

/// Content that was found: its files in order, and how long each is.
pub(super) struct Found(Vec<(PathBuf, u64)>);

impl Found {
    fn size(&self) -> u64 {
        self.0.iter().map(|(_, size)| size).sum()
    }
}

/// Where bad copies are kept for people to look at, in `tmp`.
const DAMAGED: &str = "damaged";

/// How often a change is tried again when somebody else removes or makes its directories meanwhile.
const RACES: usize = 20;

impl Directory {
    /// Finds a key's content, whole or in chunks of any size; all of it or `None`.
    ///
    /// A file that has not the size that its key names is not the key's content.
    pub(super) fn find(&self, key: &Key) -> Result<Option<Found>, NodeError> {
        for folder in self.folders(key) {
            let path = file_in(&folder, key);
            if let Some(size) = sized(&path, key)? {
                return Ok(Some(Found(vec![(path, size)])));
            }
        }
        let mut by_size: BTreeMap<u64, BTreeMap<u64, PathBuf>> = BTreeMap::new();
        for (chunk, folder) in self.chunks(key)? {
            if let Some((size, number)) = chunk.chunk().filter(|(size, _)| *size > 0) {
                by_size.entry(size).or_default().entry(number).or_insert(file_in(&folder, &chunk));
            }
        }
        let Some(size) = key.size().filter(|_| key.chunk().is_none()) else {
            return if by_size.is_empty() { self.still_there().map(|()| None) } else { Err(unknown_count()) };
        };
        for (chunk_size, chunks) in by_size {
            let chunking = Chunking::new(key, Some(chunk_size));
            let wanted = chunking.count(size);
            if chunks.len() as u64 == wanted && chunks.keys().next_back() == Some(&wanted) {
                let mut parts = Vec::with_capacity(chunks.len());
                for (number, path) in chunks {
                    let Some(size) = sized(&path, &chunking.key(number))? else { break };
                    parts.push((path, size));
                }
                if parts.len() as u64 == wanted {
                    return Ok(Some(Found(parts)));
                }
            }
        }
        self.still_there().map(|()| None)
    }

    /// Returns the size of a key's content and its files from `offset` on, the first one opened.
    pub(super) fn open_from(&self, key: &Key, offset: u64) -> Result<Option<(u64, Vec<Part>)>, NodeError> {
        for _ in 0..RACES {
            let Some(found) = self.find(key)? else { return Ok(None) };
            let whole = found.size();
            let mut before = offset;
            let mut parts = Vec::new();
            for (path, size) in found.0 {
                let from = before.min(size);
                before -= from;
                if from < size || parts.is_empty() && size == 0 {
                    parts.push(Part { path, file: None, from, size: size - from });
                }
            }
            let Some(first) = parts.first_mut() else { return Ok(Some((whole, parts))) };
            match File::open(&first.path) {
                Ok(file) => first.file = Some(file),
                // It was removed just now.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(NodeError::at(&first.path)(error)),
            }
            return Ok(Some((whole, parts)));
        }
        Err(NodeError::Busy(format!("{key}: others remove and make its file at the same time; try again")))
    }

    /// Removes a key's content: whole, in chunks of any size, and in part.
    pub(super) fn remove(&self, key: &Key) -> Result<(), NodeError> {
        for folder in self.everything_of(key)? {
            self.remove_folder(&folder)?;
        }
        self.still_there()
    }

    /// Moves all that there is of a key to where neither git-annex nor this program looks for it: to
    /// `tmp/DAMAGED/TIME`, under the path that it had.
    pub(super) fn set_aside(&self, key: &Key) -> Result<(), NodeError> {
        let damaged = self.root.join("tmp").join(DAMAGED);
        let now = self.clock.unix_seconds();
        let aside = (0..).map(|more| damaged.join(format!("{}", now + more))).find(|aside| !aside.exists());
        let Some(aside) = aside else { return Ok(()) };
        for folder in self.everything_of(key)? {
            let to = aside.join(folder.strip_prefix(&self.root).unwrap_or(&folder));
            let (Some(from_parent), Some(to_parent)) = (folder.parent(), to.parent()) else { continue };
            // A folder that is not writable cannot be moved by everybody: its entry `..` changes.
            let moved = disk::thaw(&folder)
                .and_then(|_| disk::make_folders(&self.root, to_parent))
                .and_then(|()| disk::rename_new(&folder, &to))
                .and_then(|()| disk::sync_folder(to_parent));
            match moved {
                Ok(()) => tracing::warn!("{}: set aside as {}", folder.display(), to.display()),
                // There is nothing in this place.
                Err(error) if is_absence(&error) => continue,
                Err(error) => return Err(NodeError::at(&folder)(error)),
            }
            disk::remove_empty(&self.root, from_parent);
        }
        self.still_there()
    }

    /// Returns the folders that there may be of a key: whole, and of chunks of any size.
    fn everything_of(&self, key: &Key) -> Result<Vec<PathBuf>, NodeError> {
        let whole = self.folders(key).map(|folder| (key.clone(), folder));
        let all = whole.into_iter().chain(self.chunks(key)?);
        Ok(all.map(|(key, folder)| folder.join(name(&key))).collect())
    }

    fn remove_folder(&self, folder: &Path) -> Result<(), NodeError> {
        let removed = disk::thaw(folder).and_then(|_| fs::remove_dir_all(folder));
        match removed {
            Err(error) if !is_absence(&error) => return Err(NodeError::at(folder)(error)),
            _ => {}
        }
        if let Some(parent) = folder.parent() {
            disk::remove_empty(&self.root, parent);
        }
        Ok(())
    }

    /// Puts a folder that holds one complete file in place as the folder of a key, durably.
    pub(super) fn place(&self, staged: &Path, key: &Key) -> Result<(), NodeError> {
        let folder = self.root.join(key.hash_dir_lower());
        let target = folder.join(name(key));
        let fail = || NodeError::at(&target);
        disk::freeze(&staged.join(name(key))).map_err(fail())?;
        for _ in 0..RACES {
            if sized(&file_in(&folder, key), key)?.is_some() {
                // Somebody was first; he may not have synced, as git-annex does not.
                let theirs = File::open(file_in(&folder, key)).and_then(|file| file.sync_all());
                match theirs.and_then(|()| disk::sync_folder(&target)).and_then(|()| disk::sync_folder(&folder)) {
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    done => return done.map_err(fail()),
                }
            }
            disk::make_folders(&self.root, &folder).map_err(fail())?;
            match fs::rename(staged, &target) {
                Ok(()) => {
                    disk::sync_folder(&folder).map_err(fail())?;
                    return disk::freeze(&target).map_err(fail());
                }
                Err(error) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) => {
                    self.remove_bad(&target, key)?;
                }
                Err(error) if error.kind() == ErrorKind::NotFound && staged.is_dir() => self.still_there()?,
                Err(error) => return Err(fail()(error)),
            }
        }
        Err(NodeError::Failed(format!("{}: others keep changing it; try again", target.display())))
    }

    /// Removes a key's folder if what it holds is not the key's content, and so of no use to anybody.
    fn remove_bad(&self, target: &Path, key: &Key) -> Result<(), NodeError> {
        // Under the lock, what looks bad is not replaced by something good before it is removed.
        let lock = self.root.join("tmp/annex-keep.lck");
        let _lock = FileLock::wait(&lock).map_err(NodeError::at(&lock))?;
        if sized(&target.join(name(key)), key)?.is_some() {
            return Ok(());
        }
        tracing::warn!("{}: replacing a file of the wrong size", target.display());
        self.remove_folder(target)
    }

    /// The folders that may hold a key's folder: lower-case hash directories first, as git-annex looks there.
    fn folders(&self, key: &Key) -> [PathBuf; 2] {
        [self.root.join(key.hash_dir_lower()), self.root.join(key.hash_dir_mixed())]
    }

    /// Lists the chunks of a key, of any size, each with the folder that its own folder is in.
    fn chunks(&self, key: &Key) -> Result<Vec<(Key, PathBuf)>, NodeError> {
        let mut chunks = Vec::new();
        for folder in self.folders(key) {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if is_absence(&error) => continue,
                Err(error) => return Err(NodeError::at(&folder)(error)),
            };
            for entry in entries {
                let name = entry.map_err(NodeError::at(&folder))?.file_name().into_vec();
                let Ok(chunk) = Key::from_file_name(&name) else { continue };
                if chunk.chunk().is_some() && chunk != *key && chunk.parent_bytes() == key.as_bytes() {
                    chunks.push((chunk, folder.clone()));
                }
            }
        }
        Ok(chunks)
    }
}

fn is_absence(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename)
}

/// Returns the size of a key's file if it is there and has the size that the key names.
fn sized(path: &Path, key: &Key) -> Result<Option<u64>, NodeError> {
    let found = disk::look(path).map_err(NodeError::at(path))?;
    let right = found.filter(|found| found.is_file() && key.content_size().is_none_or(|size| size == found.len()));
    Ok(right.map(|found| found.len()))
}

/// Returns a key's file name.
pub(super) fn name(key: &Key) -> PathBuf {
    OsStr::from_bytes(&key.file_name()).into()
}

fn file_in(folder: &Path, key: &Key) -> PathBuf {
    let name = name(key);
    folder.join(&name).join(&name)
}
