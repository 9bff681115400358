//! A Keep store: named entries on top of blocks.
//!
//! An entry is a content under a name that belongs to an owner; both are opaque bytes. Its bytes are blocks, equal blocks
//! are stored once, and a manifest that is itself a block names owner, name and blocks. The index makes entries quick to
//! find and can be rebuilt from the manifests ([`KeepStore::reindex`]).
//!
//! An entry is present for the owner through whom it was stored and for nobody else, whatever blocks it shares.
//!
//! # How removals and uploads stay out of each other's way
//!
//! No lock is held over both blocks and index. An upload that ends *first* records what it refers to and *then* looks whether
//! its blocks are there, bringing back from the trash those that are not. A removal *first* takes its references
//! away, *then* moves unreferenced blocks to the trash, and *then* looks again for references, bringing back what was
//! referred to meanwhile. Whichever order their steps fall in, one of the two sees the other. The trash is emptied in the
//! same order. A process that dies in between leaves at worst a block in the trash that an entry refers to: whoever
//! reads that entry brings it back. A small block is put in place only after it was recorded (`entries/held`), so nobody
//! needs to look for it again.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::Semaphore;

use crate::base::clock::{SharedClock, SystemClock};
use crate::base::stream::MAX_BLOCK;
use crate::base::task;
use crate::index::{Holding, Index, IndexError, IndexHere, IndexParts};
use crate::store::{BlockBytes, Space};

mod collect;
pub mod collections;
mod entry;
mod file;
mod held;
mod look;
mod manifest;
mod open;
mod read;
mod refer;
mod reindex;
mod remembered;
mod status;
mod trash;
mod upload;

use crate::index::Entry;
use crate::store::dir::Create;
use crate::store::{Block, BlockStore, BlocksHere, StoreError, StoreParts, servers};
pub use collect::Collected;
pub use file::{Extent, extents_of, extents_of_entry};
pub use manifest::{Manifest, Manifests, Proof, Sealer};
pub use reindex::Reindexed;
pub use status::Status;
pub use trash::Refused;
pub use upload::Upload;

use look::{For, Look};

/// A Keep store; cloning shares it.
#[derive(Clone)]
pub struct KeepStore {
    inner: Arc<Inner>,
}

/// How a [`KeepStore`] works.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes at which new content is cut into blocks: 1 byte to 64 MiB (the default).
    pub block_size: u32,
    /// How long removed blocks can be brought back. Default: 14 days, as Keep has it. Zero deletes at once.
    pub trash_lifetime: Duration,
    /// Free bytes below which the store counts as full. Default: 64 MiB.
    pub reserve: u64,
    /// Bytes that all reads together may hold ahead of their readers, in whole blocks. Default: 256 MiB.
    pub read_ahead: u64,
    /// How long an unfinished upload can be resumed. Default: 7 days.
    pub resume_within: Duration,
    /// What is written of entries beside the index. Default: sealed manifests.
    pub manifests: Manifests,
    /// Tells the time: what is due in the trash, which leases and unfinished uploads are over. Default: this machine's clock.
    pub clock: SharedClock,
}

/// A content being read.
pub struct Content {
    /// The size of the whole content in bytes, whatever the offset.
    pub size: u64,
    /// The bytes from the offset on. Ends early only with an error; each block was verified when its last byte leaves.
    pub stream: BoxStream<'static, io::Result<Bytes>>,
}

/// Why a Keep store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeepError {
    /// The blocks: the store is missing, full, unwritable, a block is damaged, ….
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// Owner or name cannot stand in a manifest.
    #[error("{} cannot be stored: an owner and a name are bytes without `/`, not empty, neither `.` nor `..`", String::from_utf8_lossy(.0))]
    Name(Vec<u8>),
    /// The content has more blocks than one manifest block can name (about 46 TiB of content).
    #[error("a content of {0} bytes is too large for one manifest")]
    TooLarge(u64),
    /// The store's key cannot be read or made.
    #[error("the signing key {}: {source}", .path.display())]
    Key {
        /// Where it is.
        path: std::path::PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another index is the store's: what this one does not know of would be taken for unneeded.
    #[error(
        "the Keep store {store} has its index elsewhere, not in {}: `annex-keep keep reindex` makes one here, which counts \
         from then on",
        .index.display()
    )]
    Elsewhere {
        /// The store.
        store: String,
        /// Where its index was looked for.
        index: std::path::PathBuf,
    },
    /// The index of blocks on servers is missing, and nothing else says what they are.
    #[error(
        "there is no index {}: what the Keep servers {store} hold for this site stands there and nowhere else, so it has to \
         come back from a backup, or the node is added anew with `annex-keep node add`",
        .index.display()
    )]
    NoRecord {
        /// The servers.
        store: String,
        /// Where the index was looked for.
        index: std::path::PathBuf,
    },
    /// A digest was lost, or bytes were left uncut at the end.
    #[error("the upload was not cut into whole blocks")]
    Uncut,
}

/// When to look again for a block that is neither in place nor in the trash: a removal that found the block needed
/// moves it back within a few milliseconds, and a look can fall in between.
const LOOK_AGAIN: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(2), Duration::from_millis(10), Duration::from_millis(50)];

struct Inner {
    store: StoreParts,
    index: Arc<dyn Index>,
    holding: Option<Arc<dyn Holding>>,
    /// Index and blocks seen from one thread, if both are on this machine.
    here: Option<(Arc<dyn IndexHere>, Arc<dyn BlocksHere>)>,
    sealer: Sealer,
    options: Options,
    /// One permit for each block read ahead.
    ahead: Arc<Semaphore>,
    /// When space and trash were last looked at.
    tidied: Mutex<Option<SystemTime>>,
    settler: held::Settler,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            block_size: MAX_BLOCK,
            trash_lifetime: Duration::from_secs(14 * 24 * 3600),
            reserve: 64 << 20,
            read_ahead: 256 << 20,
            resume_within: Duration::from_secs(7 * 24 * 3600),
            manifests: Manifests::default(),
            clock: SystemClock::shared(),
        }
    }
}

impl KeepError {
    /// Tells whether there is no room left.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Store(StoreError::Full { .. }) | Self::Index(IndexError::Full { .. }))
    }
}

impl KeepStore {
    /// Makes a store of its parts. `sealer` proves which manifests it wrote.
    pub fn new(store: impl Into<StoreParts>, index: impl Into<IndexParts>, sealer: Sealer, options: Options) -> Self {
        let (store, IndexParts { index, holding, here }) = (store.into(), index.into());
        let here = here.zip(store.here.clone());
        let ahead = options.read_ahead / u64::from(options.block_size.max(1 << 20));
        let ahead = Arc::new(Semaphore::new(usize::try_from(ahead).unwrap_or_default().min(1 << 16)));
        let (tidied, settler) = (Mutex::default(), held::Settler::default());
        Self { inner: Arc::new(Inner { store, index, holding, here, sealer, options, ahead, tidied, settler }) }
    }

    /// Returns the name for messages: its path.
    pub fn name(&self) -> String {
        self.inner.store.blocks.name()
    }

    /// Returns the bytes at which new content is cut.
    pub fn block_size(&self) -> u32 {
        self.inner.options.block_size
    }

    /// Returns the port to the blocks themselves.
    pub fn blocks(&self) -> &Arc<dyn BlockStore> {
        &self.inner.store.blocks
    }

    /// Returns the space of the place.
    pub async fn space(&self) -> Result<Space, KeepError> {
        Ok(self.inner.store.blocks.space().await?)
    }

    /// Returns how many bytes all entries have together, as if nothing were shared.
    pub async fn held(&self) -> Result<u64, KeepError> {
        Ok(self.inner.index.totals().await?.bytes)
    }

    /// Returns what is recorded of an entry, whether or not its blocks are sound.
    pub async fn entry(&self, owner: &[u8], name: &[u8]) -> Result<Option<Entry>, KeepError> {
        Ok(self.inner.index.entry(owner, name).await?)
    }

    /// Returns the portable data hash of an entry's manifest.
    pub fn portable_data_hash(&self, entry: &Entry) -> Result<String, KeepError> {
        self.inner.sealer.portable_data_hash(&entry.owner, &entry.name, &entry.blocks)
    }

    /// Tells whether an entry is there, with all its blocks in their right sizes. Contents are not read.
    ///
    /// An error means unknown, not absent: for instance when the store's disk is not mounted.
    pub async fn present(&self, owner: &[u8], name: &[u8]) -> Result<bool, KeepError> {
        if let Some(look) = look::look(&self.inner, owner, name, For::Presence).await {
            return Ok(matches!(look, Look::Whole(..)));
        }
        let Some(entry) = self.found(owner, name).await? else { return Ok(false) };
        self.has_entry(&entry).await
    }

    /// Reads an entry from `offset` on; `None` exactly when [`KeepStore::present`] says false for the part to be read.
    ///
    /// A block that turns out damaged ends the stream in an error and makes the entry absent until it is stored again.
    pub async fn read(&self, owner: &[u8], name: &[u8], offset: u64) -> Result<Option<Content>, KeepError> {
        match look::look(&self.inner, owner, name, For::Content).await {
            Some(Look::Whole(entry, Some(bytes))) => return Ok(Some(read::content_at_hand(entry.size, bytes, offset))),
            Some(Look::Whole(entry, None)) => return read::content_there(&self.inner, &entry.blocks, offset).await,
            Some(Look::Absent) => return Ok(None),
            None => {}
        }
        let Some(entry) = self.found(owner, name).await? else { return Ok(None) };
        self.read_entry(&entry, offset).await
    }

    /// Begins or resumes an upload. Nothing is visible until it is committed.
    pub async fn write(&self, owner: &[u8], name: &[u8]) -> Result<Upload, KeepError> {
        manifest::check(owner, name)?;
        self.tidy().await;
        Upload::begin(Arc::clone(&self.inner), owner, name).await
    }

    /// Removes an entry; false when there is none. Blocks that nothing else refers to go to the trash.
    ///
    /// Nobody finds it any more when this returns. The death of the machine soon after may bring it back, whole.
    pub async fn remove(&self, owner: &[u8], name: &[u8]) -> Result<bool, KeepError> {
        let (inner, owner, name) = (Arc::clone(&self.inner), owner.to_vec(), name.to_vec());
        self.inner.together(async move { inner.remove(&owner, &name).await }).await
    }

    /// Lists entries by owner and name, all or those of one owner.
    pub fn entries(&self, owner: Option<&[u8]>) -> BoxStream<'static, Result<Entry, KeepError>> {
        const PAGE: usize = 500;
        let (index, owner) = (Arc::clone(&self.inner.index), owner.map(<[u8]>::to_vec));
        let pages = stream::try_unfold(Some((Vec::new(), Vec::new())), move |after: Option<(Vec<u8>, Vec<u8>)>| {
            let (index, owner) = (Arc::clone(&index), owner.clone());
            async move {
                let Some((after_owner, after_name)) = after else { return Ok::<_, KeepError>(None) };
                let page = index.list(owner.as_deref(), Some((&after_owner, &after_name)), PAGE).await?;
                let last = page.last().filter(|_| page.len() == PAGE);
                let next = last.map(|entry| (entry.owner.clone(), entry.name.clone()));
                Ok(Some((stream::iter(page.into_iter().map(Ok)), next)))
            }
        });
        pages.try_flatten().boxed()
    }

    async fn found(&self, owner: &[u8], name: &[u8]) -> Result<Option<Entry>, KeepError> {
        let entry = self.inner.index.entry(owner, name).await?;
        if entry.is_none() {
            // For a process that has it open an index outlives the place it stood in; asking for a block fails then.
            self.inner.store.blocks.missing(&[Block::EMPTY]).await?;
        }
        Ok(entry)
    }
}

impl Inner {
    /// Runs what index and blocks have to do, on one thread if both are on this machine; see [`task::together`].
    async fn together<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, KeepError>> + Send + 'static,
    ) -> Result<T, KeepError> {
        if self.here.is_none() {
            return work.await;
        }
        task::together(work).await.map_err(|_| StoreError::Lost { store: self.store.blocks.name() })?
    }

    /// Removes an entry; false when there is none.
    async fn remove(&self, owner: &[u8], name: &[u8]) -> Result<bool, KeepError> {
        // As in `present`: an index outlives the directory it stands in, and then nothing is known to be gone.
        self.store.blocks.missing(&[Block::EMPTY]).await?;
        let deadline = self.deadline();
        let Some(unreferenced) = self.index.remove(owner, name, deadline).await? else { return Ok(false) };
        self.discard(unreferenced, deadline).await?;
        Ok(true)
    }

    /// Returns those of `blocks` that are neither in place nor can be brought back from the trash.
    async fn missing(&self, blocks: &[Block]) -> Result<Vec<Block>, KeepError> {
        if blocks.is_empty() {
            return Ok(Vec::new());
        }
        let mut missing = self.store.blocks.missing(blocks).await?;
        if !missing.is_empty() && self.place_left(&missing).await? {
            missing = self.store.blocks.missing(&missing).await?;
        }
        for pause in LOOK_AGAIN {
            if missing.is_empty() {
                break;
            }
            tokio::time::sleep(pause).await;
            for block in &missing {
                self.store.blocks.untrash(block.hash).await?;
            }
            missing = self.store.blocks.missing(&missing).await?;
        }
        Ok(missing)
    }

    /// Opens a block that somebody refers to; `None` when it is missing as [`Inner::missing`] has it.
    async fn open(&self, block: Block, from: u32, ahead: usize) -> Result<Option<BlockBytes>, KeepError> {
        for _ in LOOK_AGAIN {
            if let Some(bytes) = self.store.blocks.read(block, from, ahead).await? {
                return Ok(Some(bytes));
            }
            if !self.missing(&[block]).await?.is_empty() {
                break;
            }
        }
        Ok(None)
    }

    fn now(&self) -> SystemTime {
        self.options.clock.wall()
    }

    /// When what is removed now is to be deleted for good.
    fn deadline(&self) -> SystemTime {
        let now = self.now();
        now.checked_add(self.options.trash_lifetime).unwrap_or(now)
    }
}

impl std::fmt::Debug for KeepStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("KeepStore").field(&self.name()).finish()
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").field("size", &self.size).finish_non_exhaustive()
    }
}
