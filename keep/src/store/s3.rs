//! An S3 bucket in keepstore's own object layout.
//!
//! ```text
//! MD5, or MD3/MD5 with a prefix of 3 digits    a block; called KEY below
//! recent/KEY                                   empty; its time is that of the block's last write or touch
//! trash/KEY                                    a block in the trash
//! .annex-keep/trash/MD5.DEADLINE.MARK          until when, and which copy it is; of keepstore's own there is none
//! .annex-keep/damaged/MD5.TIME                 blocks set aside
//! .annex-keep/signing-key, index-of            of the store as a whole
//! ```
//!
//! Source: `docs/spec/keep-blocks.md` §8. A keepstore can serve the same bucket, and what it writes is read here.
//! Beyond its habits a block that is in place is never overwritten. Processes of one machine can use a bucket together
//! by a directory of lock files: whoever writes, touches, trashes or brings back a block holds its lock.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use annex_protocol::keep::BlockHash;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    Block, BlockBytes, BlockListing, BlockWriter, Blocks, Condemned, Inventory, Retention, Space, Stat, StoreError,
    StoreParts,
};
use crate::base::clock::SharedClock;
use crate::s3::{Bucket, Object};

mod list;
mod lock;
mod place;
mod read;
mod trash;

use lock::Locks;

/// Blocks in a bucket.
#[derive(Clone)]
pub struct S3Store(Arc<Volume>);

struct Volume {
    bucket: Bucket,
    /// How many first digits of a block's name are the folder that it is in: keepstore's PrefixLength.
    digits: usize,
    locks: Locks,
    /// Room for blocks that are gathered in memory.
    room: Arc<tokio::sync::Semaphore>,
    clock: SharedClock,
}

/// Objects of the store as a whole.
const OWN: &str = ".annex-keep/";

/// The store is there if this object is.
const MARK: &str = "signing-key";

/// Large blocks that are gathered in memory at once: their name is known at their end only.
const GATHERED: usize = 8;

/// Requests about different blocks at once.
const AT_ONCE: usize = 16;

impl S3Store {
    /// Makes the store in a bucket; nothing is asked yet. Lock files are made in the directory `locks`, which must be there.
    ///
    /// `clock` tells when a block is set aside; the server tells when others were written or touched.
    pub fn new(bucket: Bucket, digits: usize, locks: &Path, clock: SharedClock) -> Self {
        let room = Arc::new(tokio::sync::Semaphore::new(GATHERED));
        Self(Arc::new(Volume { bucket, digits, locks: Locks::new(locks), room, clock }))
    }

    /// Returns an object of the store as a whole.
    pub async fn own(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        const MOST: u64 = 4096;
        Ok(self.0.bucket.start(&format!("{OWN}{name}"), MOST).await?)
    }

    /// Makes an object of the store as a whole; false if it is there already.
    pub async fn make_own(&self, name: &str, content: Bytes) -> Result<bool, StoreError> {
        Ok(self.0.bucket.create(&format!("{OWN}{name}"), vec![content]).await?)
    }

    /// Replaces an object of the store as a whole.
    pub async fn replace_own(&self, name: &str, content: Bytes) -> Result<(), StoreError> {
        Ok(self.0.bucket.put(&format!("{OWN}{name}"), vec![content]).await?)
    }
}

impl Volume {
    fn name(&self) -> String {
        self.bucket.place().to_string()
    }

    fn lost(&self) -> StoreError {
        StoreError::Lost { store: self.name() }
    }

    /// The name of a block's object.
    fn block(&self, hash: BlockHash) -> String {
        self.key(&hash.to_string())
    }

    /// The beginning of the names of objects of blocks that begin with these digits.
    fn key(&self, digits: &str) -> String {
        match digits.get(..self.digits).filter(|prefix| !prefix.is_empty()) {
            Some(prefix) => format!("{prefix}/{digits}"),
            None => digits.to_owned(),
        }
    }

    /// Reads the name of a block's object.
    fn hash(&self, name: &str) -> Option<BlockHash> {
        let hash = BlockHash::parse(name.rsplit('/').next()?.as_bytes())?;
        (self.block(hash) == name).then_some(hash)
    }

    fn recent(&self, hash: BlockHash) -> String {
        format!("recent/{}", self.block(hash))
    }

    fn trashed(&self, hash: BlockHash) -> String {
        format!("trash/{}", self.block(hash))
    }

    /// Fails when the store itself has gone: then nothing can be said about its blocks.
    async fn still_there(&self) -> Result<(), StoreError> {
        let mark = format!("{OWN}{MARK}");
        if self.bucket.page(&mark, "", 1).await?.iter().any(|(name, _)| *name == mark) {
            return Ok(());
        }
        Err(StoreError::Missing { path: self.name().into() })
    }

    /// Returns when a block was last written or touched, whose object is `found`.
    async fn touched(&self, hash: BlockHash, found: &Object) -> Result<SystemTime, StoreError> {
        Ok(self.bucket.head(&self.recent(hash)).await?.map_or(found.time, |recent| recent.time))
    }

    /// Renews a block's time.
    async fn touch(&self, hash: BlockHash) -> Result<(), StoreError> {
        Ok(self.bucket.put(&self.recent(hash), Vec::new()).await?)
    }

    /// Sets a block aside. Its lock is held.
    async fn set_aside(&self, hash: BlockHash, reason: &str) -> Result<(), StoreError> {
        let (from, to) = (self.block(hash), format!("{OWN}damaged/{hash}.{}", trash::seconds(self.clock.wall())));
        tracing::error!(store = self.name(), block = %hash, reason, to, "damaged block set aside");
        if self.bucket.copy(&from, &to).await? {
            self.bucket.delete(&from).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Blocks for S3Store {
    fn name(&self) -> String {
        self.0.name()
    }

    async fn writer(&self) -> Result<Box<dyn BlockWriter>, StoreError> {
        Ok(Box::new(place::S3Writer::new(Arc::clone(&self.0))))
    }

    async fn read(&self, block: Block, from: u32, ahead: usize) -> Result<Option<BlockBytes>, StoreError> {
        read::read(Arc::clone(&self.0), block, from, ahead).await
    }

    async fn peek(&self, hash: BlockHash, size: usize) -> Result<Option<Bytes>, StoreError> {
        match self.0.bucket.start(&self.0.block(hash), size as u64).await? {
            Some(bytes) => Ok(Some(bytes)),
            None => self.0.still_there().await.map(|()| None),
        }
    }

    async fn missing(&self, blocks: &[Block]) -> Result<Vec<Block>, StoreError> {
        let look = |block: Block| async move {
            let found = self.0.bucket.head(&self.0.block(block.hash)).await?;
            Ok::<_, StoreError>(found.is_none_or(|found| found.size != u64::from(block.size)).then_some(block))
        };
        let looked: Vec<_> = stream::iter(blocks.to_vec()).map(look).buffered(AT_ONCE).try_collect().await?;
        let missing: Vec<Block> = looked.into_iter().flatten().collect();
        if !missing.is_empty() {
            self.0.still_there().await?;
        }
        Ok(missing)
    }
}

#[async_trait]
impl Inventory for S3Store {
    async fn stat(&self, hash: BlockHash) -> Result<Option<Stat>, StoreError> {
        let Some(found) = self.0.bucket.head(&self.0.block(hash)).await? else {
            return self.0.still_there().await.map(|()| None);
        };
        let time = self.0.touched(hash, &found).await?;
        Ok(Some(Stat { size: found.size, time }))
    }

    async fn list(&self, prefix: &str) -> Result<BlockListing, StoreError> {
        self.0.still_there().await?;
        Ok(list::list(&self.0, prefix))
    }

    async fn space(&self) -> Result<Space, StoreError> {
        self.0.still_there().await?;
        Ok(Space::ENDLESS)
    }
}

#[async_trait]
impl Retention for S3Store {
    async fn touch(&self, hash: BlockHash) -> Result<bool, StoreError> {
        trash::touch(&self.0, hash).await
    }

    async fn trash(
        &self,
        hash: BlockHash,
        deadline: SystemTime,
        unless_since: Option<SystemTime>,
    ) -> Result<bool, StoreError> {
        trash::trash(&self.0, hash, deadline, unless_since).await
    }

    async fn untrash(&self, hash: BlockHash) -> Result<bool, StoreError> {
        trash::untrash(&self.0, hash).await
    }

    async fn condemn(&self, hash: BlockHash, due: SystemTime) -> Result<Vec<Condemned>, StoreError> {
        trash::condemn(&self.0, hash, due).await
    }

    async fn delete(&self, copy: Condemned) -> Result<bool, StoreError> {
        trash::delete(&self.0, copy).await
    }
}

impl From<S3Store> for StoreParts {
    fn from(store: S3Store) -> Self {
        Self::plain(store)
    }
}
