//! A directory volume in keepstore's own layout.
//!
//! ```text
//! <root>/<3 hex digits>/<md5>                    a block, mode 0600; its time is that of the last write or touch;
//!                                                the BLAKE3 of a large one is its attribute user.annex-keep.blake3
//! <root>/<3 hex digits>/<md5>.trash.<deadline>   in the trash until that Unix time
//! <root>/.annex-keep/tmp/                        blocks being written: their hash is known only at their end
//! <root>/.annex-keep/damaged/<md5>.<time>        blocks set aside
//! ```
//!
//! Source: `docs/spec/keep-blocks.md` §7. A keepstore can serve the same directory, and what it writes is read here.
//! Beyond keepstore's habits, files and directories are synced before a write is acknowledged, and a block that is in
//! place is never overwritten. Many processes can use one directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use annex_protocol::keep::BlockHash;
use async_trait::async_trait;
use bytes::Bytes;

use super::{
    Block, BlockBytes, BlockListing, BlockWriter, Blocks, BlocksHere, Condemned, Inventory, PlaceUnsynced, Retention,
    Space, Stat, StoreError, StoreParts,
};
use crate::base::clock::{SharedClock, SystemClock};
use crate::base::task::try_blocking;

mod list;
mod noted;
mod place;
mod read;
mod temp;
mod trash;
mod volume;
mod write;

use place::Durable;
use volume::Volume;

/// Blocks in a directory.
#[derive(Debug, Clone)]
pub struct DirStore(Arc<Volume>);

/// What a new [`DirStore`] may differ in.
#[derive(Debug, Clone)]
pub struct DirOptions {
    /// Free bytes below which the volume counts as full. Default: 64 MiB, as keepstore has it.
    pub reserve: u64,
    /// Tells the time of what is touched or set aside. Default: this machine's clock.
    ///
    /// The time of a block that was only written comes from the file system.
    pub clock: SharedClock,
}

/// Whether opening may make a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Create {
    /// A missing store is an error, and nothing is made.
    Never,
    /// A missing store is made, missing parent directories too.
    IfMissing,
}

/// The directory for our own files beside the blocks; its name keeps keepstore away from it.
pub const OWN: &str = ".annex-keep";

impl Default for DirOptions {
    fn default() -> Self {
        Self { reserve: 64 << 20, clock: SystemClock::shared() }
    }
}

impl DirStore {
    /// Opens the volume at `root`. Temporary files older than a day are removed.
    ///
    /// A directory that holds keepstore's blocks but nothing of ours counts as missing: [`Create::IfMissing`] takes it
    /// into use.
    pub async fn open(root: &Path, create: Create, options: DirOptions) -> Result<Self, StoreError> {
        let root = root.to_path_buf();
        let name = root.display().to_string();
        let opened = tokio::task::spawn_blocking(move || Volume::open(root, create, options)).await;
        opened.map_err(|_| StoreError::Lost { store: name })?.map(|volume| Self(Arc::new(volume)))
    }

    /// Returns the directory for our own files: index, key.
    pub fn own(&self) -> PathBuf {
        self.0.own()
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Volume) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let volume = Arc::clone(&self.0);
        try_blocking(move || work(&volume)).await.map_err(|_| self.0.lost())?
    }
}

#[async_trait]
impl Blocks for DirStore {
    fn name(&self) -> String {
        self.0.name()
    }

    async fn writer(&self) -> Result<Box<dyn BlockWriter>, StoreError> {
        Ok(Box::new(write::DirWriter::new(Arc::clone(&self.0))))
    }

    async fn read(&self, block: Block, from: u32, ahead: usize) -> Result<Option<BlockBytes>, StoreError> {
        read::read(Arc::clone(&self.0), block, from, ahead).await
    }

    async fn peek(&self, hash: BlockHash, size: usize) -> Result<Option<Bytes>, StoreError> {
        self.run(move |volume| read::peek(volume, hash, size)).await
    }

    async fn missing(&self, blocks: &[Block]) -> Result<Vec<Block>, StoreError> {
        let blocks = blocks.to_vec();
        self.run(move |volume| volume.missing(&blocks)).await
    }
}

#[async_trait]
impl Inventory for DirStore {
    async fn stat(&self, hash: BlockHash) -> Result<Option<Stat>, StoreError> {
        self.run(move |volume| volume.stat(hash)).await
    }

    async fn list(&self, prefix: &str) -> Result<BlockListing, StoreError> {
        list::list(Arc::clone(&self.0), prefix.to_owned()).await
    }

    async fn space(&self) -> Result<Space, StoreError> {
        self.run(Volume::space).await
    }
}

#[async_trait]
impl Retention for DirStore {
    async fn touch(&self, hash: BlockHash) -> Result<bool, StoreError> {
        self.run(move |volume| trash::touch(volume, hash)).await
    }

    async fn trash(
        &self,
        hash: BlockHash,
        deadline: SystemTime,
        unless_since: Option<SystemTime>,
    ) -> Result<bool, StoreError> {
        self.run(move |volume| trash::trash(volume, hash, deadline, unless_since)).await
    }

    async fn untrash(&self, hash: BlockHash) -> Result<bool, StoreError> {
        self.run(move |volume| trash::untrash(volume, hash)).await
    }

    async fn condemn(&self, hash: BlockHash, due: SystemTime) -> Result<Vec<Condemned>, StoreError> {
        self.run(move |volume| trash::condemn(volume, hash, due)).await
    }

    async fn delete(&self, copy: Condemned) -> Result<bool, StoreError> {
        self.run(move |volume| trash::delete(volume, copy)).await
    }
}

#[async_trait]
impl PlaceUnsynced for DirStore {
    async fn place(&self, blocks: Vec<(Block, Bytes)>) -> Result<(), StoreError> {
        self.run(move |volume| {
            blocks.into_iter().try_for_each(|(block, bytes)| {
                place::place(volume, temp::Body::of(bytes), block, Durable::Later).map(drop)
            })
        })
        .await
    }

    async fn sync(&self) -> Result<(), StoreError> {
        self.run(Volume::sync).await
    }
}

impl BlocksHere for DirStore {
    fn lacking(&self, blocks: &[Block]) -> Result<Vec<Block>, StoreError> {
        self.0.missing(blocks)
    }

    fn fetch(&self, block: Block) -> Result<Option<Vec<Bytes>>, StoreError> {
        read::fetch(&self.0, block)
    }
}

impl From<DirStore> for StoreParts {
    fn from(store: DirStore) -> Self {
        let store = Arc::new(store);
        let (unsynced, here) = (Arc::clone(&store), Arc::clone(&store));
        Self { blocks: store, unsynced: Some(unsynced), here: Some(here), signed: None }
    }
}

#[cfg(test)]
mod tests;
