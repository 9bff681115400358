//! Files as several programs use them: locked, read and written off the runtime, put in place whole and durably.
//!
//! Functions that block say so. Async ones give up when the disk does not answer in time.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::clock::Clock;

mod append;
mod lock;
mod read;
mod secret;

pub use append::Appender;
pub use lock::{FileLock, Mode};
pub use read::{Part, stream};
pub use secret::{check_secret, fresh_secret, make_secret, read_secret};

/// Runs file work off the runtime; a disk that has not answered after `limit` is an error, and the work is left alone.
pub async fn within<T: Send + 'static, E: From<io::Error> + Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match tokio::time::timeout(limit, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => Err(io::Error::other("the task ended unexpectedly").into()),
        Err(_) => Err(timed_out(limit).into()),
    }
}

fn timed_out(limit: Duration) -> io::Error {
    io::Error::new(ErrorKind::TimedOut, format!("the disk did not answer within {} s", limit.as_secs_f32()))
}

/// Returns the bytes that the file system of `path` has in all, and those that can still be stored there. Blocks.
pub fn space(path: &Path) -> io::Result<(u64, u64)> {
    let found = nix::sys::statvfs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.fragment_size());
    Ok((bytes(found.blocks()), bytes(found.blocks_available())))
}

/// Returns the number of the file system of `path` on this machine. Blocks.
pub fn device(path: &Path) -> io::Result<u64> {
    Ok(fs::metadata(path)?.dev())
}

/// Makes the names in a directory durable. Blocks.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes a directory and what is missing above it, up to `base`, which must be there; durably. Blocks.
pub fn make_folders(base: &Path, folder: &Path) -> io::Result<()> {
    if folder == base || folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(base);
    make_folders(base, parent)?;
    match DirBuilder::new().create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => sync_folder(parent),
    }
}

/// Removes a directory and those above it, below `base`, as far as they are empty. Blocks.
pub fn remove_empty(base: &Path, folder: &Path) {
    let mut folder = folder;
    while folder != base && folder.starts_with(base) && fs::remove_dir(folder).is_ok() {
        let Some(parent) = folder.parent() else { return };
        folder = parent;
    }
}

/// Renames without replacing; where the file system knows no such thing, what came meanwhile may be replaced. Blocks.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        Err(Errno::EINVAL | Errno::ENOSYS) if !to.exists() => fs::rename(from, to),
        other => other.map_err(Into::into),
    }
}

/// Sets what may be done with a file or directory, as `chmod` does. Blocks.
pub fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Lets its owner write to a file or directory, and returns the mode that it had. Blocks.
pub fn thaw(path: &Path) -> io::Result<u32> {
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o200 == 0 {
        set_mode(path, mode | 0o200)?;
    }
    Ok(mode)
}

/// Takes the right to write from everybody. Blocks.
pub fn freeze(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    set_mode(path, mode & !0o222)
}

/// Returns a file's metadata, or `None` if there is no such file. Blocks.
pub fn look(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        // No file has such a name.
        Err(error) if error.kind() == ErrorKind::InvalidFilename => Ok(None),
        Err(error) => Err(error),
    }
}

/// Tells whether nothing was changed in a file or directory for longer than `age`. Blocks.
///
/// The file system says when it was changed, `clock` what time it is: they are one clock but for servers of files and tests.
pub fn is_older(path: &Path, age: Duration, clock: &dyn Clock) -> bool {
    let found = fs::metadata(path).and_then(|found| found.modified());
    found.is_ok_and(|time| clock.wall().duration_since(time).is_ok_and(|past| past > age))
}

/// Removes a file that may be gone already. Blocks.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
