//! Writes a block into a bucket.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use md5::{Digest, Md5};
use tokio::sync::OwnedSemaphorePermit;

use super::Volume;
use crate::base::task::blocking;
use crate::store::{Block, BlockWriter, Placed, StoreError};

/// Blocks up to this size do not wait for room.
const SMALL: u64 = 1 << 20;

/// A block on its way into the bucket, in memory: its name is known at its end.
pub(super) struct S3Writer {
    volume: Arc<Volume>,
    parts: Vec<Bytes>,
    len: u64,
    room: Option<OwnedSemaphorePermit>,
}

impl S3Writer {
    pub(super) fn new(volume: Arc<Volume>) -> Self {
        Self { volume, parts: Vec::new(), len: 0, room: None }
    }
}

#[async_trait]
impl BlockWriter for S3Writer {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.len += bytes.len() as u64;
        if self.len > SMALL && self.room.is_none() {
            let room = Arc::clone(&self.volume.room).acquire_owned().await;
            self.room = Some(room.map_err(|_| self.volume.lost())?);
        }
        self.parts.push(bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>, block: Block, _blake3: Option<[u8; 32]>) -> Result<Placed, StoreError> {
        if self.len != u64::from(block.size) {
            return Err(StoreError::Size { block, size: self.len });
        }
        place(&self.volume, &self.parts, block).await
    }
}

/// Puts a block in place; see [`crate::store::BlockWriter::finish`].
async fn place(volume: &Volume, parts: &[Bytes], block: Block) -> Result<Placed, StoreError> {
    let _held = volume.locks.of(&volume.name(), block.hash).await?;
    volume.still_there().await?;
    let name = volume.block(block.hash);
    let mut placed = Placed::New;
    loop {
        if let Some((_, bytes)) = volume.bucket.get(&name, 0).await? {
            let comparing = Comparing { ours: parts.to_vec().into(), equal: true, md5: Md5::new() };
            let read = bytes.map_err(|error| crate::s3::S3Error::Unreachable(error.to_string()));
            let compared = read.try_fold(comparing, async |mut comparing, bytes| {
                Ok(blocking(move || {
                    comparing.take(&bytes);
                    comparing
                })
                .await)
            });
            let compared = compared.await?;
            if compared.equal && compared.ours.is_empty() {
                volume.touch(block.hash).await?;
                return Ok(if placed == Placed::New { Placed::Existing } else { placed });
            }
            let md5 = <[u8; 16]>::from(compared.md5.finalize());
            if block.hash == md5.into() {
                return Err(StoreError::Collision { store: volume.name(), block });
            }
            volume.set_aside(block.hash, "its bytes are not what its name says").await?;
            placed = Placed::Repaired;
        }
        if volume.bucket.create(&name, parts.to_vec()).await? {
            volume.touch(block.hash).await?;
            return Ok(placed);
        }
        // Somebody on another machine was first: look at theirs.
    }
}

/// Compares a block with the bytes that are to be in its place, and hashes it.
struct Comparing {
    /// What was not compared yet.
    ours: VecDeque<Bytes>,
    equal: bool,
    md5: Md5,
}

impl Comparing {
    fn take(&mut self, theirs: &Bytes) {
        self.md5.update(theirs);
        let mut theirs = theirs.as_ref();
        while self.equal && !theirs.is_empty() {
            let Some(mut part) = self.ours.pop_front() else {
                self.equal = false;
                return;
            };
            let (now, later) = theirs.split_at(part.len().min(theirs.len()));
            self.equal = part.split_to(now.len()) == now;
            theirs = later;
            if !part.is_empty() {
                self.ours.push_front(part);
            }
        }
    }
}
