//! References to blocks that are in the store already: leases, and entries made of them.

use std::collections::BTreeSet;
use std::time::SystemTime;

use annex_protocol::keep::BlockHash;

use super::upload::put;
use super::{Entry, Inner, KeepError, KeepStore, manifest};
use crate::store::{Block, StoreError};

/// How often an entry is made again, of the blocks that are left, when some of its blocks go meanwhile.
const TRIES: usize = 3;

impl KeepStore {
    /// Keeps blocks until `until`, whether or not anything refers to them; returns those that are not there.
    ///
    /// What was in the trash is brought back.
    pub async fn lease(&self, blocks: &[Block], until: SystemTime) -> Result<Vec<Block>, KeepError> {
        let hashes: Vec<_> = blocks.iter().map(|block| block.hash).collect();
        self.inner.index.lease(&hashes, until).await?;
        self.inner.missing(blocks).await
    }

    /// Makes an entry of blocks that are in the store, in place of one of the same name; returns those that are not there.
    ///
    /// The entry refers to the others, and to nothing if it would be empty: then there is none. The order of the blocks is kept,
    /// each counts once. What was in the trash is brought back.
    pub async fn refer(&self, owner: &[u8], name: &[u8], blocks: &[Block]) -> Result<Vec<Block>, KeepError> {
        manifest::check(owner, name)?;
        let mut seen = BTreeSet::from([Block::EMPTY]);
        let wanted: Vec<Block> = blocks.iter().copied().filter(|block| seen.insert(*block)).collect();
        let mut tries = 0;
        loop {
            let missing = self.inner.missing(&wanted).await?;
            let held: Vec<Block> = wanted.iter().copied().filter(|block| !missing.contains(block)).collect();
            if held.is_empty() {
                self.release(owner, name).await?;
                return Ok(missing);
            }
            let before = self.entry(owner, name).await?;
            if before.as_ref().is_some_and(|entry| entry.blocks == held) {
                return Ok(missing);
            }
            match self.inner.make_entry(owner, name, held).await {
                Ok(unreferenced) => {
                    self.inner.discard_manifest(before, unreferenced).await?;
                    return Ok(missing);
                }
                Err(KeepError::Store(StoreError::Gone { .. })) if tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes an entry; false when there is none. Its blocks stay until they are [collected](Self::collect) as garbage: who
    /// was told of them may still read them for a while.
    pub async fn release(&self, owner: &[u8], name: &[u8]) -> Result<bool, KeepError> {
        let before = self.entry(owner, name).await?;
        let removed = self.inner.index.remove(owner, name, self.inner.deadline()).await?;
        let was_there = removed.is_some();
        self.inner.discard_manifest(before, removed.unwrap_or_default()).await?;
        Ok(was_there)
    }

    /// Brings a block back from the trash if something refers to it, as a process that died may have left it; false if not.
    pub async fn revive(&self, hash: BlockHash) -> Result<bool, KeepError> {
        if self.inner.index.referenced(&[hash]).await?.is_empty() {
            return Ok(false);
        }
        Ok(self.inner.store.blocks.untrash(hash).await?)
    }
}

impl Inner {
    /// Makes an entry of blocks that are in place; returns those that nothing refers to any more because of that.
    pub(super) async fn make_entry(
        &self,
        owner: &[u8],
        name: &[u8],
        blocks: Vec<Block>,
    ) -> Result<Vec<Block>, KeepError> {
        let size = blocks.iter().map(|block| u64::from(block.size)).sum();
        let text = self.manifest(owner, name, &blocks)?;
        let (owner, name, stored) = (owner.to_vec(), name.to_vec(), self.now());
        // A manifest that is in place before its entry is recorded may be taken for garbage in between.
        if let Some(text) = text.as_ref().filter(|text| self.holds(text)) {
            let manifest = Block { hash: BlockHash::of(text), size: text.len() as u32 };
            let entry = Entry { owner, name, size, manifest, blocks, stored };
            return self.record_with(&entry, vec![(manifest, text.clone())], &entry.blocks).await;
        }
        let manifest = match text {
            Some(text) => put(self, text, size).await?.0,
            None => Block::EMPTY,
        };
        self.record(&Entry { owner, name, size, manifest, blocks, stored }).await
    }

    /// Records an entry whose blocks are in place; if one is not by then, the entry is not there either.
    ///
    /// Returns the blocks that nothing refers to any more because of that.
    pub(super) async fn record(&self, entry: &Entry) -> Result<Vec<Block>, KeepError> {
        let deadline = self.deadline();
        let unreferenced = self.index.put(entry.clone(), deadline).await?;
        // A removal of another entry may have moved them away before it could know of this one.
        let mut needed = entry.blocks.clone();
        needed.extend((entry.manifest != Block::EMPTY).then_some(entry.manifest));
        if let Some(block) = self.missing(&needed).await?.first() {
            self.index.remove(&entry.owner, &entry.name, deadline).await?;
            return Err(StoreError::Gone { store: self.store.blocks.name(), block: *block }.into());
        }
        Ok(unreferenced)
    }

    /// Moves the manifest of an entry that was there before to the trash: in its place it would bring the entry back when the
    /// index is rebuilt.
    async fn discard_manifest(&self, before: Option<Entry>, mut unreferenced: Vec<Block>) -> Result<(), KeepError> {
        unreferenced.retain(|block| before.as_ref().is_some_and(|entry| entry.manifest == *block));
        self.discard(unreferenced, self.deadline()).await
    }
}
