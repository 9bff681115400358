//! Content as a stream: one block after the other, the next one read and hashed ahead.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::{Content, Inner, KeepError};
use crate::store::{Block, BlockBytes, StoreError};

/// Opens `blocks` as one content from `offset` on; `None` when a block of that part is missing.
pub(super) async fn content(inner: &Arc<Inner>, blocks: &[Block], offset: u64) -> Result<Option<Content>, KeepError> {
    let (from, mut wanted) = from_offset(blocks, offset);
    if !inner.missing(wanted.make_contiguous()).await?.is_empty() {
        return Ok(None);
    }
    opened(inner, size_of(blocks), from, wanted).await
}

/// The same, of blocks that were just seen to be there.
pub(super) async fn content_there(
    inner: &Arc<Inner>,
    blocks: &[Block],
    offset: u64,
) -> Result<Option<Content>, KeepError> {
    let (from, wanted) = from_offset(blocks, offset);
    opened(inner, size_of(blocks), from, wanted).await
}

fn size_of(blocks: &[Block]) -> u64 {
    blocks.iter().map(|block| u64::from(block.size)).sum()
}

/// Opens a content of `size` bytes, `from` bytes into the first of the blocks that are wanted of it.
async fn opened(
    inner: &Arc<Inner>,
    size: u64,
    from: u64,
    wanted: VecDeque<Block>,
) -> Result<Option<Content>, KeepError> {
    let mut reading = Reading { inner: Arc::clone(inner), wanted, current: None, next: None, given: 0 };
    // The first block is opened now, so that what is wrong with it is known before the first byte.
    if let Some(block) = reading.wanted.pop_front() {
        let from = u32::try_from(from).unwrap_or(block.size);
        match inner.open(block, from, 0).await {
            Ok(Some(bytes)) => reading.current = Some((block, bytes, None)),
            Ok(None) | Err(KeepError::Store(StoreError::Damaged { .. })) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    let stream = stream::unfold(Some(reading), async |reading| {
        let mut reading = reading?;
        match reading.next().await {
            Ok(bytes) => Some((Ok(bytes?), Some(reading))),
            Err(error) => Some((Err(failed(error)), None)),
        }
    });
    Ok(Some(Content { size, stream: stream.boxed() }))
}

/// The same, of bytes that were read already.
pub(super) fn content_at_hand(size: u64, bytes: Vec<Bytes>, offset: u64) -> Content {
    let mut skip = usize::try_from(offset).unwrap_or(usize::MAX);
    let wanted = bytes.into_iter().filter_map(move |mut part| {
        let passed = part.split_to(skip.min(part.len()));
        skip -= passed.len();
        (!part.is_empty()).then_some(Ok(part))
    });
    Content { size, stream: stream::iter(wanted.collect::<Vec<_>>()).boxed() }
}

/// Returns the blocks from an offset on, and how many bytes of the first one are before it.
fn from_offset(blocks: &[Block], offset: u64) -> (u64, VecDeque<Block>) {
    let mut from = offset;
    let mut wanted = VecDeque::new();
    for block in blocks {
        if !wanted.is_empty() || from < u64::from(block.size) {
            wanted.push_back(*block);
        } else {
            from -= u64::from(block.size);
        }
    }
    (from, wanted)
}

/// Bytes of the next block that are read before they are asked for.
const AHEAD: usize = 32 << 20;

struct Reading {
    inner: Arc<Inner>,
    /// Blocks after `current` and `next`.
    wanted: VecDeque<Block>,
    current: Option<(Block, BlockBytes, Option<OwnedSemaphorePermit>)>,
    next: Option<Ahead>,
    /// Bytes given of the current block.
    given: u64,
}

/// A block being read before it is asked for; the permit stands for its memory.
struct Ahead {
    block: Block,
    opening: JoinHandle<Result<Option<BlockBytes>, KeepError>>,
    permit: OwnedSemaphorePermit,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, KeepError> {
        loop {
            let Some((block, bytes, _)) = &mut self.current else { return Ok(None) };
            if let Some(bytes) = bytes.next().await {
                let bytes = bytes?;
                self.given += bytes.len() as u64;
                // A reader that stalls in the first bytes gets no memory for the next block.
                if self.next.is_none() && self.given > u64::from(block.size / 8) {
                    self.read_ahead();
                }
                return Ok(Some(bytes));
            }
            self.current = None;
            self.given = 0;
            self.current = match self.next.take() {
                Some(Ahead { block, opening, permit }) => {
                    let opened =
                        opening.await.map_err(|_| StoreError::Lost { store: self.inner.store.blocks.name() })?;
                    Some((block, self.found(block, opened?)?, Some(permit)))
                }
                None => match self.wanted.pop_front() {
                    Some(block) => {
                        let opened = self.inner.open(block, 0, 0).await?;
                        Some((block, self.found(block, opened)?, None))
                    }
                    None => None,
                },
            };
        }
    }

    /// Begins to read the next block, if memory is to be had.
    fn read_ahead(&mut self) {
        if self.wanted.is_empty() {
            return;
        }
        let Ok(permit) = Arc::clone(&self.inner.ahead).try_acquire_owned() else { return };
        let Some(block) = self.wanted.pop_front() else { return };
        let inner = Arc::clone(&self.inner);
        let opening = tokio::spawn(async move { inner.open(block, 0, AHEAD).await });
        self.next = Some(Ahead { block, opening, permit });
    }

    fn found(&self, block: Block, bytes: Option<BlockBytes>) -> Result<BlockBytes, StoreError> {
        bytes.ok_or_else(|| StoreError::Gone { store: self.inner.store.blocks.name(), block })
    }
}

pub(super) fn failed(error: KeepError) -> io::Error {
    let kind = match &error {
        KeepError::Store(StoreError::Damaged { .. }) => io::ErrorKind::InvalidData,
        KeepError::Store(StoreError::Gone { .. } | StoreError::Missing { .. }) => io::ErrorKind::NotFound,
        KeepError::Store(StoreError::Away { .. }) => io::ErrorKind::TimedOut,
        KeepError::Store(StoreError::Io { source, .. }) => source.kind(),
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
