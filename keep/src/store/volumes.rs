//! Many block stores as one: copies on several, storage classes, stores that are only read.
//!
//! Source: `docs/spec/keep-blocks.md` §3.1, §3.2 and §6.2, what a keepstore does with its volumes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use annex_protocol::keep::{BlockHash, mount_order};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    Block, BlockBytes, BlockListing, BlockState, BlockStore, BlockWriter, Blocks, Condemned, Inventory, Listed, Placed,
    Retention, Space, Stat, StoreError,
};

mod put;

pub use put::Put;

/// Several stores under one roof. Cloning is cheap.
#[derive(Clone)]
pub struct Volumes(Arc<[Volume]>);

/// One of several stores.
#[derive(Clone)]
pub struct Volume {
    /// What names it, for the order in which volumes are asked.
    pub uuid: String,
    /// The store.
    pub store: Arc<dyn BlockStore>,
    /// Nothing is written, touched, trashed or deleted here.
    pub read_only: bool,
    /// How many copies one copy here counts for.
    pub replication: u32,
    /// Its storage classes.
    pub classes: BTreeSet<String>,
}

/// How many copies a block must have, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// How many copies, in each class.
    pub replicas: u32,
    /// In which storage classes; any if there is none.
    pub classes: BTreeSet<String>,
}

/// What became of a block that was stored.
#[derive(Debug, Default)]
pub struct Stored {
    /// The volumes that have it, by position, and how it came there.
    pub on: Vec<(usize, Placed)>,
    /// What went wrong on others.
    pub failures: Vec<StoreError>,
}

/// Copies, as replication counts them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// In all.
    pub replicas: u32,
    /// In each storage class.
    pub classes: BTreeMap<String, u32>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { replicas: 1, classes: BTreeSet::new() }
    }
}

impl Volumes {
    /// Puts stores together.
    pub fn new(volumes: Vec<Volume>) -> Self {
        Self(volumes.into())
    }

    /// Returns the volumes as they were given.
    pub fn all(&self) -> &[Volume] {
        &self.0
    }

    /// Returns one of the volumes alone, by position.
    pub fn only(&self, at: usize) -> Self {
        Self(self.0.get(at).cloned().into_iter().collect())
    }

    /// Begins to store a block; `hash` is its name, if that is known already: its bytes then flow at once.
    pub async fn put(&self, hash: Option<BlockHash>, wanted: Wanted) -> Put {
        Put::begin(self.clone(), hash, wanted).await
    }

    /// Counts the copies that a block has on some volumes, given by position.
    pub fn copies(&self, on: impl Iterator<Item = usize>) -> Copies {
        let mut copies = Copies::default();
        for volume in on.filter_map(|at| self.0.get(at)) {
            copies.replicas = copies.replicas.saturating_add(volume.replication);
            for class in &volume.classes {
                let count = copies.classes.entry(class.clone()).or_default();
                *count = count.saturating_add(volume.replication);
            }
        }
        copies
    }

    /// Returns the positions of the volumes in the order in which they are asked for a block.
    fn order(&self, hash: BlockHash) -> Vec<usize> {
        let mut order: Vec<(usize, &str)> =
            self.0.iter().enumerate().map(|(at, volume)| (at, volume.uuid.as_str())).collect();
        mount_order(hash, &mut order, |(_, uuid)| (uuid.as_bytes(), 0));
        order.into_iter().map(|(at, _)| at).collect()
    }

    fn in_order(&self, hash: BlockHash) -> impl Iterator<Item = &Volume> {
        self.order(hash).into_iter().filter_map(|at| self.0.get(at))
    }

    fn writable(&self) -> impl Iterator<Item = &Volume> {
        self.0.iter().filter(|volume| !volume.read_only)
    }
}

/// Asks one after the other until one has it. An error counts only if none has it.
macro_rules! first {
    ($volumes:expr, $volume:ident => $ask:expr) => {{
        let mut failed = None;
        for $volume in $volumes {
            match $ask.await {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(None), Err)
    }};
}

/// Asks all; true if one says so. An error counts only if none does.
async fn any(
    answers: impl Iterator<Item = impl Future<Output = Result<bool, StoreError>>>,
) -> Result<bool, StoreError> {
    let answers = join_all(answers).await;
    if answers.iter().any(|answer| matches!(answer, Ok(true))) {
        return Ok(true);
    }
    answers.into_iter().collect::<Result<Vec<_>, _>>().map(|_| false)
}

#[async_trait]
impl Blocks for Volumes {
    fn name(&self) -> String {
        self.0.iter().map(|volume| volume.store.name()).collect::<Vec<_>>().join(" + ")
    }

    async fn writer(&self) -> Result<Box<dyn BlockWriter>, StoreError> {
        Ok(Box::new(self.put(None, Wanted::default()).await))
    }

    /// A copy that turns out bad before its first bytes left is followed by the next one.
    async fn read(&self, block: Block, from: u32, ahead: usize) -> Result<Option<BlockBytes>, StoreError> {
        first!(self.in_order(block.hash), volume => volume.store.read(block, from, ahead))
    }

    async fn peek(&self, hash: BlockHash, size: usize) -> Result<Option<Bytes>, StoreError> {
        first!(self.in_order(hash), volume => volume.store.peek(hash, size))
    }

    async fn missing(&self, blocks: &[Block]) -> Result<Vec<Block>, StoreError> {
        let (mut missing, mut failed) = (blocks.to_vec(), None);
        for volume in self.0.iter() {
            match volume.store.missing(&missing).await {
                Ok(still) => missing = still,
                Err(error) => failed = Some(error),
            }
            // The store is asked even about no blocks: the answer tells whether it is there.
            if missing.is_empty() && !blocks.is_empty() {
                return Ok(missing);
            }
        }
        failed.map_or(Ok(missing), Err)
    }
}

#[async_trait]
impl Inventory for Volumes {
    async fn stat(&self, hash: BlockHash) -> Result<Option<Stat>, StoreError> {
        first!(self.in_order(hash), volume => volume.store.stat(hash))
    }

    async fn list(&self, prefix: &str) -> Result<BlockListing, StoreError> {
        let mut listings = Vec::new();
        for at in 0..self.0.len() {
            let (volumes, Some(volume)) = (self.clone(), self.0.get(at)) else { continue };
            let listing = volume.store.list(prefix).await?.try_filter_map(move |listed| {
                let volumes = volumes.clone();
                async move { Ok((!volumes.was_listed(at, &listed).await?).then_some(listed)) }
            });
            listings.push(listing);
        }
        Ok(stream::iter(listings).flatten().boxed())
    }

    async fn space(&self) -> Result<Space, StoreError> {
        let spaces = join_all(self.0.iter().map(|volume| volume.store.space())).await;
        let mut sum = Space { total: 0, free: 0 };
        for (volume, space) in self.0.iter().zip(spaces) {
            let space = space?;
            sum.total += space.total;
            sum.free += if volume.read_only { 0 } else { space.free };
        }
        Ok(sum)
    }
}

#[async_trait]
impl Retention for Volumes {
    async fn touch(&self, hash: BlockHash) -> Result<bool, StoreError> {
        any(self.writable().map(|volume| volume.store.touch(hash))).await
    }

    async fn trash(
        &self,
        hash: BlockHash,
        deadline: SystemTime,
        unless_since: Option<SystemTime>,
    ) -> Result<bool, StoreError> {
        any(self.writable().map(|volume| volume.store.trash(hash, deadline, unless_since))).await
    }

    async fn untrash(&self, hash: BlockHash) -> Result<bool, StoreError> {
        any(self.writable().map(|volume| volume.store.untrash(hash))).await
    }

    async fn condemn(&self, hash: BlockHash, due: SystemTime) -> Result<Vec<Condemned>, StoreError> {
        let condemned = join_all(self.writable().map(|volume| volume.store.condemn(hash, due))).await;
        Ok(condemned.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
    }

    async fn delete(&self, copy: Condemned) -> Result<bool, StoreError> {
        for volume in self.writable() {
            if volume.store.delete(copy).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Volumes {
    /// Tells whether an earlier volume has the same block in place.
    async fn was_listed(&self, at: usize, listed: &Listed) -> Result<bool, StoreError> {
        if listed.state != BlockState::Live {
            return Ok(false);
        }
        for volume in self.0.iter().take(at) {
            if volume.store.stat(listed.hash).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl std::fmt::Debug for Volumes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Volumes").field(&self.name()).finish()
    }
}
