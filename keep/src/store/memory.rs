//! Blocks in memory, for tests and for what need not last.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use annex_protocol::keep::BlockHash;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream;

use super::{
    Block, BlockBytes, BlockListing, BlockState, BlockWriter, Blocks, Condemned, Inventory, Listed, Placed, Retention,
    Space, Stat, StoreError, StoreParts, Verifier,
};
use crate::base::clock::SharedClock;

/// Blocks in memory. Cloning shares them.
#[derive(Clone)]
pub struct MemoryStore(Arc<Inner>);

struct Inner {
    name: String,
    room: u64,
    held: Mutex<Held>,
    clock: SharedClock,
}

#[derive(Default)]
struct Held {
    live: BTreeMap<BlockHash, (Bytes, SystemTime)>,
    trash: Vec<Trashed>,
    damaged: Vec<(BlockHash, Bytes, SystemTime)>,
    next_mark: u64,
}

struct Trashed {
    hash: BlockHash,
    bytes: Bytes,
    deadline: SystemTime,
    mark: Option<u64>,
}

impl MemoryStore {
    /// Makes a store without blocks that takes `room` bytes; `clock` tells when they are written.
    pub fn new(name: impl Into<String>, room: u64, clock: SharedClock) -> Self {
        Self(Arc::new(Inner { name: name.into(), room, held: Mutex::default(), clock }))
    }

    /// Replaces the bytes of a block that is in place, so that they are wrong; for tests.
    pub fn damage(&self, hash: BlockHash, bytes: Bytes) {
        if let Some((held, _)) = self.held().live.get_mut(&hash) {
            *held = bytes;
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn damaged(&self, block: Block, reason: String) -> StoreError {
        let mut held = self.held();
        if let Some((bytes, _)) = held.live.remove(&block.hash) {
            held.damaged.push((block.hash, bytes, self.0.clock.wall()));
        }
        StoreError::Damaged { store: self.0.name.clone(), block, reason }
    }
}

impl Held {
    fn size(&self) -> u64 {
        let trash = self.trash.iter().map(|trashed| &trashed.bytes);
        let live = self.live.values().map(|(bytes, _)| bytes);
        live.chain(trash).chain(self.damaged.iter().map(|(_, bytes, _)| bytes)).map(|bytes| bytes.len() as u64).sum()
    }
}

#[async_trait]
impl Blocks for MemoryStore {
    fn name(&self) -> String {
        self.0.name.clone()
    }

    async fn writer(&self) -> Result<Box<dyn BlockWriter>, StoreError> {
        Ok(Box::new(Writer { store: self.clone(), bytes: BytesMut::new() }))
    }

    async fn read(&self, block: Block, from: u32, _ahead: usize) -> Result<Option<BlockBytes>, StoreError> {
        let Some(bytes) = self.held().live.get(&block.hash).map(|(bytes, _)| bytes.clone()) else { return Ok(None) };
        let size = bytes.len() as u64;
        if size != u64::from(block.size) && BlockHash::of(&bytes) == block.hash {
            return Err(StoreError::Size { block, size });
        }
        let mut verifier = Verifier::new(block);
        verifier.push(bytes.clone());
        verifier.finish().map_err(|reason| self.damaged(block, reason))?;
        let wanted = bytes.slice(bytes.len().min(from as usize)..);
        Ok(Some(stream::iter((!wanted.is_empty()).then_some(Ok(wanted))).boxed()))
    }

    async fn peek(&self, hash: BlockHash, size: usize) -> Result<Option<Bytes>, StoreError> {
        Ok(self.held().live.get(&hash).map(|(bytes, _)| bytes.slice(..bytes.len().min(size))))
    }

    async fn missing(&self, blocks: &[Block]) -> Result<Vec<Block>, StoreError> {
        let held = self.held();
        let is_here = |block: &Block| held.live.get(&block.hash).is_some_and(|(b, _)| b.len() == block.size as usize);
        Ok(blocks.iter().filter(|block| !is_here(block)).copied().collect())
    }
}

#[async_trait]
impl Inventory for MemoryStore {
    async fn stat(&self, hash: BlockHash) -> Result<Option<Stat>, StoreError> {
        Ok(self.held().live.get(&hash).map(|(bytes, time)| Stat { size: bytes.len() as u64, time: *time }))
    }

    async fn list(&self, prefix: &str) -> Result<BlockListing, StoreError> {
        let held = self.held();
        let listed =
            |hash: BlockHash, bytes: &Bytes, time, state| Listed { hash, size: bytes.len() as u64, time, state };
        let live = held.live.iter().map(|(hash, (bytes, time))| listed(*hash, bytes, *time, BlockState::Live));
        let trash = held.trash.iter().map(|trashed| {
            listed(trashed.hash, &trashed.bytes, trashed.deadline, BlockState::Trashed(trashed.deadline))
        });
        let damaged = held.damaged.iter().map(|(hash, bytes, time)| listed(*hash, bytes, *time, BlockState::Damaged));
        let all = live.chain(trash).chain(damaged).filter(|listed| listed.hash.to_string().starts_with(prefix));
        let all: Vec<_> = all.map(Ok).collect();
        Ok(stream::iter(all).boxed())
    }

    async fn space(&self) -> Result<Space, StoreError> {
        Ok(Space { total: self.0.room, free: self.0.room.saturating_sub(self.held().size()) })
    }
}

#[async_trait]
impl Retention for MemoryStore {
    async fn touch(&self, hash: BlockHash) -> Result<bool, StoreError> {
        let mut held = self.held();
        let Some((_, time)) = held.live.get_mut(&hash) else { return Ok(false) };
        *time = self.0.clock.wall();
        Ok(true)
    }

    async fn trash(
        &self,
        hash: BlockHash,
        deadline: SystemTime,
        unless_since: Option<SystemTime>,
    ) -> Result<bool, StoreError> {
        let mut held = self.held();
        let young = |time: SystemTime| unless_since.is_some_and(|since| time >= since);
        if held.live.get(&hash).is_none_or(|(_, time)| young(*time)) {
            return Ok(false);
        }
        if let Some((bytes, _)) = held.live.remove(&hash) {
            held.trash.push(Trashed { hash, bytes, deadline, mark: None });
        }
        Ok(true)
    }

    async fn untrash(&self, hash: BlockHash) -> Result<bool, StoreError> {
        let mut held = self.held();
        if held.live.contains_key(&hash) {
            return Ok(true);
        }
        let Some(at) = held.trash.iter().rposition(|trashed| trashed.hash == hash) else { return Ok(false) };
        let bytes = held.trash.remove(at).bytes;
        held.live.insert(hash, (bytes, self.0.clock.wall()));
        Ok(true)
    }

    async fn condemn(&self, hash: BlockHash, due: SystemTime) -> Result<Vec<Condemned>, StoreError> {
        let mut held = self.held();
        let Held { trash, next_mark, .. } = &mut *held;
        let due = trash.iter_mut().filter(|trashed| trashed.hash == hash && trashed.deadline <= due);
        let condemned = due.map(|trashed| {
            *next_mark += 1;
            trashed.mark = Some(*next_mark);
            Condemned { hash, size: trashed.bytes.len() as u64, mark: *next_mark }
        });
        Ok(condemned.collect())
    }

    async fn delete(&self, copy: Condemned) -> Result<bool, StoreError> {
        let mut held = self.held();
        let is_meant = |trashed: &Trashed| trashed.hash == copy.hash && trashed.mark == Some(copy.mark);
        let Some(at) = held.trash.iter().position(is_meant) else { return Ok(false) };
        held.trash.remove(at);
        Ok(true)
    }
}

impl From<MemoryStore> for StoreParts {
    fn from(store: MemoryStore) -> Self {
        Self::plain(store)
    }
}

struct Writer {
    store: MemoryStore,
    bytes: BytesMut,
}

#[async_trait]
impl BlockWriter for Writer {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>, block: Block, _blake3: Option<[u8; 32]>) -> Result<Placed, StoreError> {
        let Self { store, bytes } = *self;
        let (bytes, name) = (bytes.freeze(), store.name());
        if bytes.len() != block.size as usize {
            return Err(StoreError::Size { block, size: bytes.len() as u64 });
        }
        let mut held = store.held();
        let standing = held.live.get(&block.hash).map(|(standing, _)| standing.clone());
        let placed = match standing {
            Some(standing) if standing == bytes => Placed::Existing,
            Some(standing) if BlockHash::of(&standing) == block.hash => {
                return Err(StoreError::Collision { store: name, block });
            }
            Some(wrong) => {
                held.damaged.push((block.hash, wrong, store.0.clock.wall()));
                Placed::Repaired
            }
            None => Placed::New,
        };
        if placed != Placed::Existing && held.size() + bytes.len() as u64 > store.0.room {
            return Err(StoreError::Full { store: name });
        }
        held.live.insert(block.hash, (bytes, store.0.clock.wall()));
        Ok(placed)
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("MemoryStore").field(&self.0.name).finish()
    }
}
