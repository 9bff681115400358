//! Folders of content, which git-annex keeps unwritable. All of it blocks.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use annex_protocol::key::Key;
use keep_store::base::disk;

/// How often a change is tried again when git-annex changes the same directories meanwhile.
pub(super) const RACES: usize = 20;

/// Changes what is in the folder of a content, which nobody may write to before and after.
///
/// git-annex may freeze the folder again just before the change, for its own ends.
pub(super) fn modify<T>(folder: &Path, mut change: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut tries = RACES;
    loop {
        tries -= 1;
        disk::thaw(folder)?;
        let done = change();
        match disk::freeze(folder) {
            // A removal ended meanwhile, and took the folder away.
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        match done {
            Err(error) if error.kind() == ErrorKind::PermissionDenied && tries > 0 => {}
            done => return done,
        }
    }
}

/// Returns a key's file name.
pub(super) fn name(key: &Key) -> PathBuf {
    OsStr::from_bytes(&key.file_name()).into()
}
