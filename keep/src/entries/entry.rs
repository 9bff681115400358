//! Entries at hand: read, moved, and found by their manifest's locator.

use annex_protocol::keep::Locator;
use annex_protocol::manifest::Manifest;
use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::{Content, Entry, Inner, KeepError, KeepStore, Manifests, Sealer, manifest, read};
use crate::index::nothing::NoIndex;
use crate::store::{Block, StoreParts};

impl KeepStore {
    /// Makes a store that records nothing by itself: whoever uses it keeps the locators of the manifests
    /// ([`Manifests::Open`]), or what entries consist of ([`Manifests::Elsewhere`]).
    pub fn unindexed(store: impl Into<StoreParts>, options: super::Options) -> Self {
        Self::new(store, NoIndex::default(), Sealer::new(b""), options)
    }

    /// Forgets an unfinished upload; what it brought is recorded elsewhere by now, or nobody wants it.
    pub async fn forget_upload(&self, owner: &[u8], name: &[u8]) -> Result<(), KeepError> {
        self.inner.forget_upload(owner, name).await
    }

    /// Tells whether all blocks of an entry are there, in their right sizes. Contents are not read.
    pub async fn has_entry(&self, entry: &Entry) -> Result<bool, KeepError> {
        Ok(self.inner.missing(&entry.blocks).await?.is_empty())
    }

    /// Reads an entry from `offset` on, as [`KeepStore::read`] does.
    pub async fn read_entry(&self, entry: &Entry, offset: u64) -> Result<Option<Content>, KeepError> {
        read::content(&self.inner, &entry.blocks, offset).await
    }

    /// Reads the manifest of an entry; `None` when the store has no such block, or it is no manifest of an entry.
    ///
    /// Who wrote it is not looked at: the caller knows the locator from somebody it trusts.
    pub async fn entry_at(&self, locator: &Locator) -> Result<Option<Entry>, KeepError> {
        let inner = &self.inner;
        inner.store.learn(locator);
        let Ok(block) = Block::try_from(locator) else { return Ok(None) };
        let Some(bytes) = inner.open(block, 0, 0).await? else { return Ok(None) };
        let text = bytes.try_collect::<Vec<Bytes>>().await?.concat();
        let (Some(found), Ok(parsed)) = (inner.sealer.read(&text), Manifest::parse(&text)) else { return Ok(None) };
        for locator in parsed.streams().iter().flat_map(|stream| stream.blocks()) {
            inner.store.learn(locator);
        }
        let size = found.blocks.iter().map(|block| u64::from(block.size)).sum();
        let manifest::Manifest { owner, name, blocks, .. } = found;
        Ok(Some(Entry { owner, name, size, manifest: block, blocks, stored: inner.now() }))
    }

    /// Gives the content of an entry another name, in place of what had it; false when there is no such entry.
    ///
    /// No content moves. A process that dies in between leaves the content under both names.
    pub async fn rename(&self, owner: &[u8], from: &[u8], to: &[u8]) -> Result<bool, KeepError> {
        manifest::check(owner, to)?;
        let Some(entry) = self.found(owner, from).await? else { return Ok(false) };
        if from != to {
            let unreferenced = self.inner.make_entry(owner, to, entry.blocks).await?;
            self.inner.discard(unreferenced, self.inner.deadline()).await?;
            self.remove(owner, from).await?;
        }
        Ok(true)
    }

    /// Returns the locator of an entry's manifest, with what it takes to read it.
    pub fn manifest_locator(&self, entry: &Entry) -> Locator {
        self.inner.store.locator(entry.manifest)
    }
}

impl Inner {
    pub(super) async fn forget_upload(&self, owner: &[u8], name: &[u8]) -> Result<(), KeepError> {
        let deadline = self.deadline();
        let unreferenced = self.index.forget_upload(owner, name, deadline).await?;
        self.discard(unreferenced, deadline).await
    }

    /// Writes the manifest of an entry whose blocks are in place; `None` if the store writes none.
    pub(super) fn manifest(&self, owner: &[u8], name: &[u8], blocks: &[Block]) -> Result<Option<Bytes>, KeepError> {
        match self.options.manifests {
            Manifests::Sealed => Ok(Some(self.sealer.write(owner, name, blocks)?.into())),
            Manifests::Open => {
                let locators = blocks.iter().map(|block| self.store.locator(*block)).collect();
                Ok(Some(manifest::manifest_of(owner, name, locators)?.to_bytes().into()))
            }
            Manifests::Elsewhere => manifest::check(owner, name).map(|()| None),
        }
    }
}
