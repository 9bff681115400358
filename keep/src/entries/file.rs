//! Files as manifests have them: parts of blocks, one after the other.

use std::io;
use std::sync::Arc;

use annex_protocol::manifest::File;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Content, Entry, Inner, KeepError, KeepStore, read};
use crate::store::{Block, StoreError};

/// A part of a block that belongs to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The block.
    pub block: Block,
    /// Where the part begins in the block.
    pub offset: u32,
    /// Its length in bytes.
    pub size: u32,
}

/// Blocks that are fetched together while a file of many small parts is read.
const BLOCKS_AHEAD: usize = 2;

impl Extent {
    fn is_whole(&self) -> bool {
        self.offset == 0 && self.size == self.block.size
    }
}

/// Returns the parts of a manifest's file; `None` if it has a block that no store takes.
pub fn extents_of(file: &File<'_>) -> Option<Vec<Extent>> {
    let extent = |extent: annex_protocol::manifest::Extent<'_>| {
        let block = Block::try_from(extent.locator).ok()?;
        Some(Extent { block, offset: extent.offset.try_into().ok()?, size: extent.size.try_into().ok()? })
    };
    file.extents(0, file.size()).map(extent).collect()
}

/// Returns the parts of an entry: its blocks.
pub fn extents_of_entry(entry: &Entry) -> Vec<Extent> {
    entry.blocks.iter().map(|block| Extent { block: *block, offset: 0, size: block.size }).collect()
}

impl KeepStore {
    /// Tells whether all blocks of a file are there, in their right sizes. Contents are not read.
    pub async fn has_file(&self, extents: &[Extent]) -> Result<bool, KeepError> {
        let mut blocks: Vec<Block> = extents.iter().map(|extent| extent.block).collect();
        blocks.sort();
        blocks.dedup();
        Ok(self.inner.missing(&blocks).await?.is_empty())
    }

    /// Reads a file from `offset` on; `None` when a block of it is missing.
    ///
    /// Each block is verified as a whole before any of its bytes leave, or, of entries' blocks, when its last byte leaves.
    pub async fn read_file(&self, extents: &[Extent], offset: u64) -> Result<Option<Content>, KeepError> {
        if extents.iter().all(Extent::is_whole) {
            let blocks: Vec<Block> = extents.iter().map(|extent| extent.block).collect();
            return read::content(&self.inner, &blocks, offset).await;
        }
        if !self.has_file(extents).await? {
            return Ok(None);
        }
        let size = extents.iter().map(|extent| u64::from(extent.size)).sum();
        let mut skip = offset;
        let mut wanted = Vec::new();
        for extent in extents {
            let passed = u32::try_from(skip).unwrap_or(u32::MAX).min(extent.size);
            skip -= u64::from(passed);
            let left = Extent { offset: extent.offset + passed, size: extent.size - passed, ..*extent };
            wanted.extend((left.size > 0).then_some(left));
        }
        let inner = Arc::clone(&self.inner);
        let parts = stream::iter(wanted).map(move |extent| part(Arc::clone(&inner), extent)).buffered(BLOCKS_AHEAD);
        let stream = parts.map_ok(|parts| stream::iter(parts.into_iter().map(Ok))).try_flatten();
        Ok(Some(Content { size, stream: stream.boxed() }))
    }
}

/// Reads a part of a block, all of which is verified first.
async fn part(inner: Arc<Inner>, extent: Extent) -> io::Result<Vec<Bytes>> {
    let bytes = inner.open(extent.block, extent.offset, 0).await.map_err(read::failed)?;
    let gone = || StoreError::Gone { store: inner.store.blocks.name(), block: extent.block };
    let bytes = bytes.ok_or_else(|| read::failed(gone().into()))?;
    let parts: Vec<Bytes> = bytes.try_collect().await.map_err(|error| read::failed(error.into()))?;
    let mut left = extent.size as usize;
    let cut = parts.into_iter().map(|mut part| {
        let part = part.split_to(part.len().min(left));
        left -= part.len();
        part
    });
    Ok(cut.filter(|part| !part.is_empty()).collect())
}
