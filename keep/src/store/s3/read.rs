//! Reads a block from a bucket, verified.

use std::io;
use std::sync::Arc;

use annex_protocol::keep::BlockHash;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use md5::{Digest, Md5};
use tokio::sync::mpsc;

use super::Volume;
use crate::base::task::blocking;
use crate::s3::{Object, S3Error};
use crate::store::{Block, BlockBytes, StoreError, Verifier};

/// Bytes that are hashed by one visit to a blocking thread.
const BATCH: usize = 256 << 10;

/// Reads `block` from `from` on; see [`crate::store::Blocks::read`].
pub(super) async fn read(
    volume: Arc<Volume>,
    block: Block,
    from: u32,
    ahead: usize,
) -> Result<Option<BlockBytes>, StoreError> {
    let Some((object, bytes)) = volume.bucket.get(&volume.block(block.hash), 0).await? else {
        return volume.still_there().await.map(|()| None);
    };
    // The size is the caller's claim: a block is not damaged because somebody asked for it wrongly.
    if object.size != u64::from(block.size) {
        if hash(bytes).await? == block.hash {
            return Err(StoreError::Size { block, size: object.size });
        }
        return Err(damaged(&volume, block, &object, format!("it has {} bytes", object.size)).await);
    }
    let verifier = Some(Verifier::new(block));
    let reading = Reading { volume, block, object, bytes, verifier, skip: from.min(block.size) as usize };
    let verified = reading.verified();
    if ahead < BATCH {
        return Ok(Some(verified));
    }
    let (send, receive) = mpsc::channel(ahead / BATCH);
    tokio::spawn(async move {
        let mut verified = verified;
        while let Some(bytes) = verified.next().await {
            if send.send(bytes).await.is_err() {
                break;
            }
        }
    });
    Ok(Some(stream::unfold(receive, async |mut receive| Some((receive.recv().await?, receive))).boxed()))
}

/// A block on its way out.
struct Reading {
    volume: Arc<Volume>,
    block: Block,
    object: Object,
    bytes: BoxStream<'static, io::Result<Bytes>>,
    /// `None` when the end was reached, or an error.
    verifier: Option<Verifier>,
    /// Bytes still to be held back since the reader did not ask for them.
    skip: usize,
}

impl Reading {
    fn verified(self) -> BlockBytes {
        let batches = stream::try_unfold(self, |mut reading| async move {
            let batch = reading.batch().await?;
            Ok::<_, StoreError>(batch.map(|batch| (stream::iter(batch.into_iter().map(Ok)), reading)))
        });
        batches.try_flatten().boxed()
    }

    /// Reads bytes that may leave; `None` at the end.
    async fn batch(&mut self) -> Result<Option<Vec<Bytes>>, StoreError> {
        let Some(mut verifier) = self.verifier.take() else { return Ok(None) };
        let (mut read, mut size) = (Vec::new(), 0);
        while size < BATCH {
            let Some(bytes) = self.bytes.try_next().await.map_err(|error| lost(&error))? else { break };
            size += bytes.len();
            read.push(bytes);
        }
        let checked = blocking(move || {
            let mut leaving: Vec<Bytes> = read.into_iter().filter_map(|bytes| verifier.push(bytes)).collect();
            if size >= BATCH {
                return Ok((leaving, Some(verifier)));
            }
            leaving.extend(verifier.finish()?);
            Ok::<_, String>((leaving, None))
        });
        match checked.await {
            Ok((leaving, verifier)) => {
                self.verifier = verifier;
                Ok(Some(leaving.into_iter().filter_map(|bytes| self.asked_for(bytes)).collect()))
            }
            Err(reason) => Err(damaged(&self.volume, self.block, &self.object, reason).await),
        }
    }

    fn asked_for(&mut self, mut bytes: Bytes) -> Option<Bytes> {
        let held_back = bytes.split_to(self.skip.min(bytes.len()));
        self.skip -= held_back.len();
        (!bytes.is_empty()).then_some(bytes)
    }
}

/// Sets a block aside, if it is still the one that was read, and returns the error to report.
async fn damaged(volume: &Volume, block: Block, read: &Object, reason: String) -> StoreError {
    let aside = async {
        let _held = volume.locks.of(&volume.name(), block.hash).await?;
        match volume.bucket.head(&volume.block(block.hash)).await? {
            Some(found) if found == *read => volume.set_aside(block.hash, &reason).await,
            _ => Ok(()),
        }
    };
    if let Err(error) = aside.await {
        tracing::error!(store = volume.name(), %block, %error, "a damaged block could not be set aside");
    }
    StoreError::Damaged { store: volume.name(), block, reason }
}

async fn hash(bytes: BoxStream<'static, io::Result<Bytes>>) -> Result<BlockHash, StoreError> {
    let hashed = bytes.map_err(|error| lost(&error)).try_fold(Md5::new(), async |mut md5, bytes| {
        Ok(blocking(move || {
            md5.update(&bytes);
            md5
        })
        .await)
    });
    Ok(<[u8; 16]>::from(hashed.await?.finalize()).into())
}

/// A connection that broke says nothing of the block.
fn lost(error: &io::Error) -> StoreError {
    S3Error::Unreachable(error.to_string()).into()
}
