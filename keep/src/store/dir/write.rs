//! Writes a block into a directory volume.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::place::{Durable, place};
use super::temp::Body;
use super::volume::Volume;
use crate::base::stream::{Budget, Counted, Lane, Work};
use crate::store::{Block, BlockWriter, Placed, StoreError};

/// Bytes that may wait for the disk, for each block being written.
const WAITING: u32 = 4 << 20;

/// A block on its way into the volume.
pub(super) struct DirWriter {
    volume: Arc<Volume>,
    /// `None` once finished.
    lane: Option<Lane<Writing>>,
    budget: Budget,
    failure: Arc<Failure>,
}

struct Writing {
    volume: Arc<Volume>,
    body: Body,
    failure: Arc<Failure>,
}

/// The first error of the lane, for the next one who asks.
#[derive(Default)]
struct Failure {
    happened: AtomicBool,
    error: Mutex<Option<StoreError>>,
}

impl DirWriter {
    pub(super) fn new(volume: Arc<Volume>) -> Self {
        let failure = Arc::new(Failure::default());
        let writing = Writing { volume: Arc::clone(&volume), body: Body::new(), failure: Arc::clone(&failure) };
        Self { volume, lane: Some(Lane::new(writing)), budget: Budget::new(WAITING), failure }
    }
}

#[async_trait]
impl BlockWriter for DirWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        let bytes = self.budget.take(bytes).await;
        if self.failure.happened.load(Ordering::Acquire) {
            return Err(self.failure.take().unwrap_or_else(|| self.volume.lost()));
        }
        match &self.lane {
            Some(lane) => lane.push(bytes),
            None => return Err(self.volume.lost()),
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>, block: Block, blake3: Option<[u8; 32]>) -> Result<Placed, StoreError> {
        let (volume, failure) = (Arc::clone(&self.volume), Arc::clone(&self.failure));
        let Some(lane) = self.lane.take() else { return Err(volume.lost()) };
        let placing = lane.finish(move |writing| {
            let Writing { volume, mut body, .. } = writing;
            if failure.happened.load(Ordering::Acquire) {
                return Err(failure.take().unwrap_or_else(|| volume.lost()));
            }
            if let Some(blake3) = blake3 {
                body.file(&volume)?.note(&blake3);
            }
            place(&volume, body, block, Durable::Now)
        });
        placing.await.map_err(|_| volume.lost())?
    }
}

impl Drop for DirWriter {
    /// Removes the temporary file, off the runtime.
    fn drop(&mut self) {
        if let Some(lane) = self.lane.take()
            && tokio::runtime::Handle::try_current().is_ok()
        {
            drop(lane.finish(drop));
        }
    }
}

impl Work for Writing {
    fn take(&mut self, bytes: Counted) {
        if self.failure.happened.load(Ordering::Acquire) {
            return;
        }
        // Small blocks stay in memory here, uncounted from now on; large ones are written before the count is dropped.
        if let Err(error) = self.body.push(&self.volume, bytes.bytes) {
            *self.failure.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            self.failure.happened.store(true, Ordering::Release);
        }
    }
}

impl Failure {
    fn take(&self) -> Option<StoreError> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
