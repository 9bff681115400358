//! Rebuilds the index from the blocks alone.

use std::collections::HashSet;

use annex_protocol::keep::BlockHash;
use futures_util::{StreamExt, TryStreamExt};

use super::manifest::{self, Proof};
use super::{Entry, Inner, KeepError, KeepStore};
use crate::store::{Block, BlockState, Listed};

/// What a rebuilding found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reindexed {
    /// Entries that the index now holds because of a manifest.
    pub entries: u64,
    /// Entries taken out of the index since no manifest speaks of them.
    pub forgotten: u64,
    /// Blocks that look like a manifest of an entry and were not written by this store.
    pub foreign: Vec<Block>,
    /// Blocks that look like a manifest and are damaged; they were set aside.
    pub damaged: Vec<Block>,
}

/// Manifests looked at together: their records share one sync.
const MANIFESTS_AT_ONCE: usize = 64;

/// The least bytes that a manifest of an entry can have.
const LEAST: u64 = manifest::BEGINS.len() as u64 + 40;

impl KeepStore {
    /// Rebuilds the index from the manifests among the blocks.
    ///
    /// A manifest counts if the store's own key sealed it; with `accept_unsealed` any does, for blocks whose key was lost:
    /// then everybody who could store a content could have made up entries. Where two manifests speak of the same
    /// entry, the newer one counts. The store can be used meanwhile; an entry that is removed at the same moment may
    /// come back. Unfinished uploads are not in the blocks: those of a lost index start again.
    pub async fn reindex(&self, accept_unsealed: bool) -> Result<Reindexed, KeepError> {
        let inner = &self.inner;
        let started = inner.now();
        inner.index.set_complete(false).await?;
        let listing = inner.store.blocks.list("").await?.map_err(KeepError::from);
        let candidates = listing.try_filter_map(async |listed| Ok(candidate(&listed)));
        let looked = candidates
            .map(|block| async move { inner.take_up(block?, accept_unsealed).await })
            .buffer_unordered(MANIFESTS_AT_ONCE);
        let mut looked = std::pin::pin!(looked);
        let mut reindexed = Reindexed::default();
        let mut seen = HashSet::new();
        while let Some(found) = looked.try_next().await? {
            match found {
                Found::Entry(hash) => _ = seen.insert(hash),
                Found::Foreign(block) => reindexed.foreign.push(block),
                Found::Damaged(block) => reindexed.damaged.push(block),
                Found::Data => {}
            }
        }
        reindexed.entries = seen.len() as u64;
        reindexed.forgotten = inner.index.retain(Box::new(move |hash| seen.contains(&hash)), started).await?;
        inner.index.set_complete(true).await?;
        Ok(reindexed)
    }
}

enum Found {
    /// The manifest of an entry that the index now holds.
    Entry(BlockHash),
    Foreign(Block),
    Damaged(Block),
    /// Some content, or the manifest of an entry that has a newer one.
    Data,
}

fn candidate(listed: &Listed) -> Option<Listed> {
    (listed.state == BlockState::Live && (LEAST..=crate::base::stream::MAX_BLOCK.into()).contains(&listed.size))
        .then(|| listed.clone())
}

impl Inner {
    /// Reads the block as a manifest; `None` when it is none.
    pub(super) async fn entry_of(&self, hash: BlockHash) -> Result<Option<(Entry, Proof)>, KeepError> {
        let Some(start) = self.store.blocks.peek(hash, manifest::BEGINS.len()).await? else { return Ok(None) };
        if start != manifest::BEGINS {
            return Ok(None);
        }
        let mut listing = self.store.blocks.list(&hash.to_string()).await?;
        while let Some(listed) = listing.try_next().await? {
            if listed.state == BlockState::Live {
                return self.read_entry(&listed).await;
            }
        }
        Ok(None)
    }

    async fn read_entry(&self, listed: &Listed) -> Result<Option<(Entry, Proof)>, KeepError> {
        let Ok(size) = u32::try_from(listed.size) else { return Ok(None) };
        let manifest = Block { hash: listed.hash, size };
        let Some(bytes) = self.store.blocks.read(manifest, 0, 0).await? else { return Ok(None) };
        let text: Vec<bytes::Bytes> = bytes.try_collect().await?;
        let Some(found) = self.sealer.read(&text.concat()) else { return Ok(None) };
        let size = found.blocks.iter().map(|block| u64::from(block.size)).sum();
        let (owner, name, blocks) = (found.owner, found.name, found.blocks);
        Ok(Some((Entry { owner, name, size, manifest, blocks, stored: listed.time }, found.proof)))
    }

    /// Records the entry that a block is the manifest of, if it is one.
    async fn take_up(&self, listed: Listed, accept_unsealed: bool) -> Result<Found, KeepError> {
        let start = self.store.blocks.peek(listed.hash, manifest::BEGINS.len()).await?;
        if start.is_none_or(|start| start != manifest::BEGINS) {
            return Ok(Found::Data);
        }
        let block = Block { hash: listed.hash, size: u32::try_from(listed.size).unwrap_or(u32::MAX) };
        let entry = match self.read_entry(&listed).await {
            Ok(Some((entry, Proof::Sealed))) => entry,
            Ok(Some((entry, Proof::Foreign))) if accept_unsealed => entry,
            Ok(Some((_, Proof::Foreign))) => return Ok(Found::Foreign(block)),
            Ok(None) => return Ok(Found::Data),
            Err(KeepError::Store(crate::store::StoreError::Damaged { .. })) => return Ok(Found::Damaged(block)),
            Err(error) => return Err(error),
        };
        match self.index.entry(&entry.owner, &entry.name).await? {
            Some(known) if known.manifest == entry.manifest => {}
            Some(known) if known.stored >= entry.stored => return Ok(Found::Data),
            _ => {
                let (owner, name) = (entry.owner.clone(), entry.name.clone());
                self.index.put(entry, self.deadline()).await?;
                if !self.store.blocks.missing(&[block]).await?.is_empty() {
                    self.index.remove(&owner, &name, self.deadline()).await?;
                    return Ok(Found::Data);
                }
            }
        }
        Ok(Found::Entry(listed.hash))
    }
}
