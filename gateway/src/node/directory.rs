//! A node that is a directory in the layout of git-annex's own directory special remote, not encrypted.
//!
//! ```text
//! DIR/HASHDIRLOWER/KEY/KEY           content; the mixed hash directory is read too. File and folder are not writable
//! DIR/HASHDIRLOWER/KEY-SnCm/…        chunk m of n bytes each (the last one is shorter)
//! DIR/tmp/annex-keep-…               uploads on their way
//! DIR/tmp/damaged/TIME/…             a bad copy, set aside at TIME (seconds since the epoch) under the path that it had
//! DIR/tmp/annex-keep.id              tells this directory from another one in its place
//! ```
//!
//! git-annex can use the same directory at the same time. It knows no locks there: what it removes itself, nobody can
//! keep it from. Source: `docs/spec/git-annex-branch.md` §1 and §2, and git-annex's own files.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use keep_store::base::clock::SharedClock;
use keep_store::base::disk;

use super::error::NodeError;
use super::only_ours::hold_if;
use super::patience::Patience;
use super::port::{Capacity, Content, Hold, Incoming, Node, Onward, Pieces, Space};

pub mod kind;
mod layout;
mod upload;

/// The file that a directory is known again by, in the directory.
const MARK: &str = "tmp/annex-keep.id";

/// A directory special remote's directory. Its content belongs to one repository.
pub struct DirectoryNode(Arc<Place>);

struct Place {
    root: PathBuf,
    /// New content is cut into chunks of this many bytes.
    chunk: Option<u64>,
    /// Device and inode of the root: another directory in its place (a disk that is not mounted) proves nothing.
    identity: Mutex<(u64, u64)>,
    /// What stands in the directory's mark, by which it is known again when its disk was mounted anew.
    mark: Option<String>,
    deadlines: Patience,
    clock: SharedClock,
}

impl DirectoryNode {
    /// Opens the directory, which must be there; new content is stored in chunks of `chunk` bytes, or whole. `clock` tells
    /// when a bad copy was set aside.
    pub async fn open(
        root: &Path,
        chunk: Option<u64>,
        deadlines: Patience,
        clock: &SharedClock,
    ) -> Result<Self, NodeError> {
        let (root, clock) = (root.to_path_buf(), Arc::clone(clock));
        let work = move || {
            let identity = Mutex::new(identity(&root)?);
            upload::clean(&root);
            let mark = mark(&root).or_else(|| make_mark(&root));
            Ok::<_, NodeError>(Self(Arc::new(Place { root, chunk, identity, mark, deadlines, clock })))
        };
        disk::within(deadlines.connect, work).await
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

impl Place {
    /// Fails when the directory that was opened is not there any more: then nothing can be said about its content.
    fn still_there(&self) -> Result<(), NodeError> {
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

impl DirectoryNode {
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Place) -> Result<T, NodeError> + Send + 'static,
    ) -> Result<T, NodeError> {
        let place = Arc::clone(&self.0);
        disk::within(self.limit(), move || work(&place)).await
    }

    fn limit(&self) -> Duration {
        self.0.deadlines.answer
    }
}

#[async_trait]
impl Node for DirectoryNode {
    async fn present(&self, key: &Key) -> Result<bool, NodeError> {
        let key = key.clone();
        self.ask(move |place| Ok(place.find(&key)?.is_some())).await
    }

    async fn get(&self, key: &Key, offset: u64) -> Result<Option<Content>, NodeError> {
        let key = key.clone();
        let found = self.ask(move |place| place.open_from(&key, offset)).await?;
        let progress = self.0.deadlines.progress;
        Ok(found.map(|(size, parts)| Content { size, stream: disk::stream(parts, progress), verified: false }))
    }

    async fn put(&self, key: &Key, _file: &AssociatedFile) -> Result<Incoming, NodeError> {
        let (place, key) = (Arc::clone(&self.0), key.clone());
        let upload = disk::within(self.limit(), move || upload::Staged::open(place, key)).await?;
        let kept = upload.offset();
        Ok(Incoming::Pieces(Pieces { upload: Box::new(upload), kept, takes_blocks: false }))
    }

    async fn remove(&self, key: &Key) -> Result<Vec<Uuid>, NodeError> {
        let key = key.clone();
        self.ask(move |place| place.remove(&key)).await?;
        Ok(Vec::new())
    }

    async fn set_aside(&self, key: &Key) -> Result<(), NodeError> {
        let key = key.clone();
        self.ask(move |place| place.set_aside(&key)).await
    }

    async fn lock(&self, key: &Key) -> Result<Option<Box<dyn Hold>>, NodeError> {
        Ok(hold_if(self.present(key).await?))
    }

    async fn capacity(&self) -> Result<Capacity, NodeError> {
        let looked = self.ask(|place| {
            place.still_there()?;
            Space::at(&place.root)
        });
        Ok(Capacity { space: Some(looked.await?), held: None })
    }

    fn onward(&self, _gateways: &BTreeSet<Uuid>) -> Onward {
        Onward::AsIs
    }
}
