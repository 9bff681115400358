//! Removed blocks: into the trash, back, and away for good.

use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use annex_protocol::keep::BlockHash;
use futures_util::TryStreamExt;

use super::{Inner, KeepError, KeepStore};
use crate::store::{Block, BlockState, StoreError};

/// Blocks deleted by one visit to the trash while something else is being done.
const A_FEW: usize = 256;

/// How often space and trash are looked at in passing.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// Why a block was not put in the trash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is not there.
    Absent,
    /// An entry or an unfinished upload refers to it.
    Referenced,
}

impl KeepStore {
    /// Puts a block in the trash; refuses one that is referred to, unless `force`.
    ///
    /// With `force`, the manifest of an entry takes the entry with it, and entries that have the block in their content
    /// become absent.
    pub async fn trash_block(&self, hash: BlockHash, force: bool) -> Result<Result<(), Refused>, KeepError> {
        let inner = &self.inner;
        let deadline = inner.deadline();
        if !force {
            return inner.trash_unreferenced(hash, deadline, None).await;
        }
        let mut found = false;
        for entry in inner.index.entries_with(hash).await? {
            if entry.manifest.hash == hash {
                found |= self.remove(&entry.owner, &entry.name).await?;
            }
        }
        found |= inner.store.blocks.trash(hash, deadline, None).await?;
        Ok(if found { Ok(()) } else { Err(Refused::Absent) })
    }

    /// Puts a block in the trash that nothing refers to and that was not written or touched at `since` or later; refused as
    /// absent if it was.
    pub async fn trash_since(&self, hash: BlockHash, since: SystemTime) -> Result<Result<(), Refused>, KeepError> {
        self.inner.trash_unreferenced(hash, self.inner.deadline(), Some(since)).await
    }

    /// Brings a block back from the trash; false when it is not there. With a manifest of this store its entry is back.
    pub async fn untrash_block(&self, hash: BlockHash) -> Result<bool, KeepError> {
        let inner = &self.inner;
        if !inner.store.blocks.untrash(hash).await? {
            return Ok(false);
        }
        if let Some((entry, super::Proof::Sealed)) = inner.entry_of(hash).await? {
            for block in &entry.blocks {
                inner.store.blocks.untrash(block.hash).await?;
            }
            let deadline = inner.deadline();
            let unreferenced = inner.index.put(entry, deadline).await?;
            inner.discard(unreferenced, deadline).await?;
        }
        Ok(true)
    }

    /// Deletes for good what is in the trash with a deadline of `due` or before; returns blocks and bytes deleted.
    ///
    /// What an entry refers to is brought back instead.
    pub async fn empty_trash(&self, due: SystemTime) -> Result<(u64, u64), KeepError> {
        let (mut count, mut bytes) = (0, 0);
        let mut listing = self.inner.store.blocks.list("").await?;
        while let Some(listed) = listing.try_next().await? {
            match listed.state {
                BlockState::Trashed(deadline) if deadline <= due => {
                    let freed = self.inner.delete(&[listed.hash], due).await?;
                    count += u64::from(freed > 0);
                    bytes += freed;
                }
                _ => {}
            }
        }
        Ok((count, bytes))
    }

    /// Now and then, in passing: deletes what is due, at most a few blocks, more when space runs out, and forgets uploads
    /// that nobody resumed. What fails is tried again next time.
    pub(super) async fn tidy(&self) {
        let now = self.inner.now();
        {
            let mut tidied = self.inner.tidied.lock().unwrap_or_else(PoisonError::into_inner);
            // A clock that was set back says nothing.
            if tidied.is_some_and(|last| now.duration_since(last).is_ok_and(|past| past < TIDY_EVERY)) {
                return;
            }
            *tidied = Some(now);
        }
        match self.inner.tidy().await {
            Ok(()) => {}
            // Whoever came to store something is told.
            Err(KeepError::Store(error @ StoreError::Away { .. })) => {
                tracing::debug!(store = self.name(), %error, "trash could not be emptied");
            }
            Err(error) => tracing::warn!(store = self.name(), %error, "trash could not be emptied"),
        }
    }
}

impl Inner {
    /// Moves a block to the trash that nothing refers to; with `unless_since`, if it was not touched since then.
    pub(super) async fn trash_unreferenced(
        &self,
        hash: BlockHash,
        deadline: SystemTime,
        unless_since: Option<SystemTime>,
    ) -> Result<Result<(), Refused>, KeepError> {
        if !self.index.referenced(&[hash]).await?.is_empty() {
            return Ok(Err(Refused::Referenced));
        }
        if !self.store.blocks.trash(hash, deadline, unless_since).await? {
            return Ok(Err(Refused::Absent));
        }
        // As in every removal: whoever came to refer to it meanwhile keeps it.
        if !self.index.referenced(&[hash]).await?.is_empty() {
            self.store.blocks.untrash(hash).await?;
            return Ok(Err(Refused::Referenced));
        }
        Ok(Ok(()))
    }

    /// Moves blocks that nothing refers to to the trash; those that somebody came to refer to meanwhile stay.
    ///
    /// What is due at once is deleted at once.
    pub(super) async fn discard(&self, blocks: Vec<Block>, deadline: SystemTime) -> Result<(), KeepError> {
        if blocks.is_empty() {
            return Ok(());
        }
        let mut hashes: Vec<_> = blocks.iter().map(|block| block.hash).collect();
        // Blocks that are needed again by now stay where they are: moving them to the trash and back would disturb
        // their readers.
        let needed = self.index.referenced(&hashes).await?;
        hashes.retain(|hash| !needed.contains(hash));
        for hash in &hashes {
            self.store.blocks.trash(*hash, deadline, None).await?;
        }
        for hash in self.index.referenced(&hashes).await? {
            self.store.blocks.untrash(hash).await?;
        }
        if deadline <= self.now() {
            self.delete(&hashes, deadline).await?;
            self.index.forget_due(&hashes, deadline).await?;
        }
        Ok(())
    }

    /// Deletes blocks from the trash, those that are due; what is referred to is brought back. Returns the bytes freed.
    ///
    /// Copies are marked first and references looked at then: a copy that somebody needed before it came into
    /// the trash is seen to be needed, and one that comes later bears no mark.
    async fn delete(&self, blocks: &[BlockHash], due: SystemTime) -> Result<u64, KeepError> {
        let mut condemned = Vec::new();
        for hash in blocks {
            condemned.extend(self.store.blocks.condemn(*hash, due).await?);
        }
        for hash in self.index.referenced(blocks).await? {
            self.store.blocks.untrash(hash).await?;
        }
        let mut freed = 0;
        for copy in condemned {
            if self.store.blocks.delete(copy).await? {
                freed += copy.size;
            }
        }
        Ok(freed)
    }

    async fn tidy(&self) -> Result<(), KeepError> {
        self.settle_left().await?;
        let now = self.now();
        let stale = now.checked_sub(self.options.resume_within).unwrap_or(SystemTime::UNIX_EPOCH);
        for (owner, name) in self.index.stale_uploads(stale, A_FEW).await? {
            self.forget_upload(&owner, &name).await?;
        }
        loop {
            let due = self.index.due(now, A_FEW).await?;
            self.delete(&due, now).await?;
            if !due.is_empty() {
                self.index.forget_due(&due, now).await?;
            }
            let space_runs_out = self.store.blocks.space().await?.free < self.options.reserve;
            if due.len() < A_FEW || !space_runs_out {
                return Ok(());
            }
        }
    }
}
