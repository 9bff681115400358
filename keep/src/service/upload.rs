//! One block on its way from a client into the stores.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use annex_protocol::keep::BlockHash;
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::KeepService;
use super::lazy::store_error;
use crate::base::stream::{BlockDigest, Cutter, MAX_BLOCK, Piece};
use crate::store::volumes::{Copies, Put, Wanted};
use crate::store::{Block, StoreError};

/// A block that a client brings. Dropped unfinished, it leaves nothing.
pub struct BlockUpload {
    service: KeepService,
    put: Put,
    cutter: Cutter,
    digest: Option<BlockDigest>,
    size: u64,
    _memory: OwnedSemaphorePermit,
}

/// Why a block was not stored.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// It has more than 64 MiB.
    #[error("a block has at most 64 MiB")]
    TooLarge,
    /// Its bytes are not what its name says.
    #[error("the block's MD5 is {found}, not {named}")]
    Mismatch {
        /// What the client called it.
        named: BlockHash,
        /// What it is.
        found: BlockHash,
    },
    /// So many blocks are on their way that there is no memory for one more.
    #[error("the server is busy: too many blocks are on their way; try again later")]
    Busy,
    /// No store took it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How long a client waits for memory before it is told to come again.
const PATIENCE: Duration = Duration::from_secs(60);

impl KeepService {
    /// Begins to store a block of about `size` bytes (64 MiB if that is not known); waits for memory.
    pub async fn upload(
        &self,
        hash: Option<BlockHash>,
        size: Option<u64>,
        wanted: Wanted,
    ) -> Result<BlockUpload, UploadError> {
        let size = size.and_then(|size| u32::try_from(size).ok()).unwrap_or(MAX_BLOCK).min(MAX_BLOCK);
        let memory = Arc::clone(&self.0.memory).acquire_many_owned(size.div_ceil(1 << 10).max(1));
        let Ok(Ok(memory)) = tokio::time::timeout(PATIENCE, memory).await else { return Err(UploadError::Busy) };
        let put = self.0.volumes.put(hash, wanted).await;
        let cutter = Cutter::new(MAX_BLOCK, 0);
        Ok(BlockUpload { service: self.clone(), put, cutter, digest: None, size: 0, _memory: memory })
    }
}

impl BlockUpload {
    /// Takes the next bytes; waits while hashing or a store cannot keep up.
    pub async fn push(&mut self, bytes: Bytes) -> Result<(), UploadError> {
        self.size += bytes.len() as u64;
        if self.size > u64::from(MAX_BLOCK) {
            return Err(UploadError::TooLarge);
        }
        for piece in self.cutter.push(bytes).await {
            match piece {
                Piece::Data(bytes) => self.put.push(bytes).await,
                Piece::Cut(digest) => self.digest = Some(digest),
            }
        }
        Ok(())
    }

    /// Ends the block: when this returns it is durable on the stores that are counted, and stays there for the lifetime of a
    /// signature at least.
    ///
    /// That may be less than what was wanted, and is never nothing.
    pub async fn finish(mut self, named: Option<BlockHash>) -> Result<(Block, Copies), UploadError> {
        if let Some(Piece::Cut(digest)) = self.cutter.finish() {
            self.digest = Some(digest);
        }
        let (block, blake3) = match self.digest {
            None => (Block::EMPTY, None),
            Some(digest) => {
                let lost = |_| StoreError::Lost { store: "memory".to_owned() };
                let digest = digest.wait().await.map_err(lost)?;
                (Block { hash: digest.md5.into(), size: digest.len }, digest.blake3)
            }
        };
        if let Some(named) = named.filter(|named| *named != block.hash) {
            return Err(UploadError::Mismatch { named, found: block.hash });
        }
        let mut stored = self.put.finish(block, blake3).await?;
        let now = self.service.0.clock.wall();
        let until = now.checked_add(self.service.0.lifetime).unwrap_or(now);
        let mut kept = Vec::with_capacity(stored.on.len());
        for (at, _) in stored.on {
            match self.service.lease(at, block, until).await {
                Ok(()) => kept.push(at),
                Err(error) => stored.failures.push(error),
            }
        }
        for failure in &stored.failures {
            tracing::warn!("storing {block}: {failure}");
        }
        if kept.is_empty() {
            return Err(stored.failures.pop().unwrap_or(StoreError::Nowhere).into());
        }
        Ok((block, self.service.0.volumes.copies(kept.into_iter())))
    }
}

impl KeepService {
    /// Sees to it that a removal of something else does not take the block along.
    async fn lease(&self, at: usize, block: Block, until: SystemTime) -> Result<(), StoreError> {
        let Some(mount) = self.0.mounts.get(at) else { return Ok(()) };
        let leased = async { mount.store.open().await?.lease(&[block], until).await };
        match leased.await.map_err(store_error(&*mount.store))?.is_empty() {
            true => Ok(()),
            false => Err(StoreError::Gone { store: mount.store.name(), block }),
        }
    }
}
