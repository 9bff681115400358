//! The directory that a node is: whether it is still the one that was opened. All of it blocks.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use keep_store::base::clock::SharedClock;
use keep_store::base::disk;

use crate::node::error::NodeError;
use crate::node::patience::Patience;

/// The file that a directory is known again by, in the directory.
const MARK: &str = "tmp/annex-keep.id";

/// A directory special remote's directory.
pub(super) struct Directory {
    pub(super) root: PathBuf,
    /// New content is cut into chunks of this many bytes.
    pub(super) chunk: Option<u64>,
    /// Device and inode of the root: another directory in its place (a disk that is not mounted) proves nothing.
    identity: Mutex<(u64, u64)>,
    /// What stands in the directory's mark, by which it is known again when its disk was mounted anew.
    mark: Option<String>,
    pub(super) deadlines: Patience,
    pub(super) clock: SharedClock,
}

impl Directory {
    /// Looks at the directory, which must be there, and marks it.
    pub(super) fn open(
        root: PathBuf,
        chunk: Option<u64>,
        deadlines: Patience,
        clock: SharedClock,
    ) -> Result<Self, NodeError> {
        let identity = Mutex::new(identity(&root)?);
        let mark = mark(&root).or_else(|| make_mark(&root));
        Ok(Self { root, chunk, identity, mark, deadlines, clock })
    }

    /// Fails when the directory that was opened is not there any more: then nothing can be said about its content.
    pub(super) fn still_there(&self) -> Result<(), NodeError> {
        let now = identity(&self.root)?;
        let mut known = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        if now == *known {
            return Ok(());
        }
        if self.mark.is_some() && mark(&self.root) == self.mark {
            *known = now;
            return Ok(());
        }
        let text = "another directory has taken its place: is its disk mounted?";
        Err(NodeError::Unreachable(format!("{}: {text}", self.root.display())))
    }
}

fn identity(root: &Path) -> Result<(u64, u64), NodeError> {
    match fs::metadata(root) {
        Ok(found) if found.is_dir() => Ok((found.dev(), found.ino())),
        Ok(_) => Err(NodeError::Unreachable(format!("{} is no directory", root.display()))),
        Err(error) => Err(NodeError::Unreachable(format!("{}: {error}", root.display()))),
    }
}

fn mark(root: &Path) -> Option<String> {
    fs::read_to_string(root.join(MARK)).ok().filter(|mark| !mark.is_empty())
}

/// Marks a directory. One that cannot be written to stays without.
fn make_mark(root: &Path) -> Option<String> {
    let file = root.join(MARK);
    let own = root.join(format!("{MARK}-{}", uuid::Uuid::new_v4().simple()));
    let made = disk::make_folders(root, &root.join("tmp"))
        .and_then(|()| fs::write(&own, uuid::Uuid::new_v4().to_string()))
        .and_then(|()| disk::rename_new(&own, &file));
    if made.is_err() {
        // Perhaps somebody else has just made one.
        let _none = fs::remove_file(&own);
    }
    mark(root)
}
