//! Bytes in flight, counted.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A bound on bytes that wait in memory; cloning shares it.
#[derive(Debug, Clone)]
pub struct Budget {
    left: Arc<Semaphore>,
    limit: u32,
}

/// Bytes that count against a [`Budget`] until they are dropped.
#[derive(Debug)]
pub struct Counted {
    /// The bytes.
    pub bytes: Bytes,
    permit: Option<Arc<OwnedSemaphorePermit>>,
}

impl Budget {
    /// Makes a budget of `limit` bytes.
    pub fn new(limit: u32) -> Self {
        let limit = limit.max(1);
        Self { left: Arc::new(Semaphore::new(limit as usize)), limit }
    }

    /// Takes room for `bytes` if there is some, or gives them back.
    pub fn try_take(&self, bytes: Bytes) -> Result<Counted, Bytes> {
        match Arc::clone(&self.left).try_acquire_many_owned(self.wanted(&bytes)) {
            Ok(permit) => Ok(Counted { bytes, permit: Some(Arc::new(permit)) }),
            Err(_) => Err(bytes),
        }
    }

    /// Waits until there is room for `bytes`, and takes it.
    ///
    /// A piece larger than the whole budget passes when everything else has gone, so that nothing waits for ever.
    pub async fn take(&self, bytes: Bytes) -> Counted {
        // The semaphore is never closed, so an error cannot happen; without a permit the bytes would just not count.
        let permit = Arc::clone(&self.left).acquire_many_owned(self.wanted(&bytes)).await.ok();
        Counted { bytes, permit: permit.map(Arc::new) }
    }

    fn wanted(&self, bytes: &Bytes) -> u32 {
        u32::try_from(bytes.len()).unwrap_or(u32::MAX).min(self.limit)
    }
}

impl Counted {
    /// Splits off the first `size` bytes (or all). The room is given back when both parts are dropped.
    #[must_use]
    pub fn split_to(&mut self, size: usize) -> Self {
        let size = size.min(self.bytes.len());
        Self { bytes: self.bytes.split_to(size), permit: self.permit.clone() }
    }
}

impl From<Bytes> for Counted {
    /// Wraps bytes that count against no budget.
    fn from(bytes: Bytes) -> Self {
        Self { bytes, permit: None }
    }
}
