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
use std::path::Path;
use std::sync::Arc;
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
mod root;
mod upload;

use root::Directory;

/// A directory special remote's directory. Its content belongs to one repository.
pub struct DirectoryNode(Arc<Directory>);

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
            let directory = Directory::open(root, chunk, deadlines, clock)?;
            upload::clean(&directory.root);
            Ok::<_, NodeError>(Self(Arc::new(directory)))
        };
        disk::within(deadlines.connect, work).await
    }
}

impl DirectoryNode {
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Directory) -> Result<T, NodeError> + Send + 'static,
    ) -> Result<T, NodeError> {
        let directory = Arc::clone(&self.0);
        disk::within(self.limit(), move || work(&directory)).await
    }

    fn limit(&self) -> Duration {
        self.0.deadlines.answer
    }
}

#[async_trait]
impl Node for DirectoryNode {
    async fn present(&self, key: &Key) -> Result<bool, NodeError> {
        let key = key.clone();
        self.ask(move |directory| Ok(directory.find(&key)?.is_some())).await
    }

    async fn get(&self, key: &Key, offset: u64) -> Result<Option<Content>, NodeError> {
        let key = key.clone();
        let found = self.ask(move |directory| directory.open_from(&key, offset)).await?;
        let progress = self.0.deadlines.progress;
        Ok(found.map(|(size, parts)| Content { size, stream: disk::stream(parts, progress), verified: false }))
    }

    async fn put(&self, key: &Key, _file: &AssociatedFile) -> Result<Incoming, NodeError> {
        let (directory, key) = (Arc::clone(&self.0), key.clone());
        let upload = disk::within(self.limit(), move || upload::Staged::open(directory, key)).await?;
        let kept = upload.offset();
        Ok(Incoming::Pieces(Pieces { upload: Box::new(upload), kept, takes_blocks: false }))
    }

    async fn remove(&self, key: &Key) -> Result<Vec<Uuid>, NodeError> {
        let key = key.clone();
        self.ask(move |directory| directory.remove(&key)).await?;
        Ok(Vec::new())
    }

    async fn set_aside(&self, key: &Key) -> Result<(), NodeError> {
        let key = key.clone();
        self.ask(move |directory| directory.set_aside(&key)).await
    }

    async fn lock(&self, key: &Key) -> Result<Option<Box<dyn Hold>>, NodeError> {
        Ok(hold_if(self.present(key).await?))
    }

    async fn capacity(&self) -> Result<Capacity, NodeError> {
        let looked = self.ask(|directory| {
            directory.still_there()?;
            Space::at(&directory.root)
        });
        Ok(Capacity { space: Some(looked.await?), held: None })
    }

    fn onward(&self, _gateways: &BTreeSet<Uuid>) -> Onward {
        Onward::AsIs
    }
}
