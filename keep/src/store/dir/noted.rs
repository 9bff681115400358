//! The BLAKE3 of a large block, noted beside its file as an extended attribute.
//!
//! Checking it takes a fraction of the time that MD5 takes. It is written before the block comes to its place and goes where
//! the file goes; a block without it, or on a file system that has no such attributes, is checked by its MD5.

use std::fs::File;

use rustix::fs::{XattrFlags, fgetxattr, fremovexattr, fsetxattr};

const NAME: &str = "user.annex-keep.blake3";

/// Notes the BLAKE3 of a file's bytes, where that can be done.
pub(super) fn note(file: &File, blake3: &[u8; 32]) {
    if let Err(error) = fsetxattr(file, NAME, blake3, XattrFlags::empty()) {
        tracing::debug!(%error, "no extended attributes here: blocks are checked by their MD5");
    }
}

/// Returns the BLAKE3 that was noted.
pub(super) fn noted(file: &File) -> Option<[u8; 32]> {
    let mut value = [0; 32];
    match fgetxattr(file, NAME, &mut value) {
        Ok(32) => Some(value),
        _ => None,
    }
}

/// Forgets what was noted, since it is wrong.
pub(super) fn forget(file: &File) {
    if let Err(error) = fremovexattr(file, NAME) {
        tracing::warn!(%error, "a wrong BLAKE3 note could not be removed");
    }
}
