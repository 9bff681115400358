//! Hashes of content, taken off the runtime while it streams by: the key's own, and one to tell two contents apart.

use annex_protocol::hash::Hasher;
use annex_protocol::key::Key;
use bytes::Bytes;
use keep_store::base::stream::{Budget, Counted, Lane, Work};
use sha2::{Digest, Sha256};

/// Checks content against its key: size always, hash where the key's backend has one.
pub(super) struct Checker {
    key: Key,
    size: u64,
    lane: Option<Lane<Hashing>>,
    budget: Budget,
}

/// Bytes that may wait to be hashed.
const WAITING_BYTES: u32 = 2 << 20;

struct Hashing(Hasher);

impl Work for Hashing {
    fn take(&mut self, bytes: Counted) {
        self.0.update(&bytes.bytes);
    }
}

impl Checker {
    pub(super) fn new(key: &Key) -> Self {
        let lane = Hasher::for_key(key).map(|hasher| Lane::new(Hashing(hasher)));
        Self { key: key.clone(), size: 0, lane, budget: Budget::new(WAITING_BYTES) }
    }

    /// Takes the next bytes of the content.
    pub(super) async fn take(&mut self, bytes: Bytes) {
        self.size += bytes.len() as u64;
        if let Some(lane) = &self.lane {
            lane.push(self.budget.take(bytes).await);
        }
    }

    /// Tells whether the bytes themselves are needed. If not, [`Checker::skip`] may count them without looking.
    pub(super) fn looks_at_bytes(&self) -> bool {
        self.lane.is_some()
    }

    /// Counts bytes without looking at them.
    pub(super) fn skip(&mut self, size: u64) {
        self.size += size;
    }

    /// Tells whether all content came and is the key's.
    pub(super) async fn finish(self) -> bool {
        if self.key.content_size().is_some_and(|size| size != self.size) {
            return false;
        }
        let Some(lane) = self.lane else { return true };
        let key = self.key;
        lane.finish_soon(move |hashing| hashing.0.matches(&key)).await.unwrap_or(false)
    }
}

/// A hash of bytes, to be compared with that of others which should be the same.
pub(super) struct Print {
    size: u64,
    lane: Lane<Sameness>,
    budget: Budget,
}

/// The hash of bytes: equal for equal bytes, and for no others.
pub(super) type Printed = (u64, [u8; 32]);

struct Sameness(Sha256);

impl Work for Sameness {
    fn take(&mut self, bytes: Counted) {
        self.0.update(&bytes.bytes);
    }
}

impl Print {
    pub(super) fn new() -> Self {
        Self { size: 0, lane: Lane::new(Sameness(Sha256::new())), budget: Budget::new(WAITING_BYTES) }
    }

    /// Takes the next bytes.
    pub(super) async fn take(&mut self, bytes: Bytes) {
        self.size += bytes.len() as u64;
        self.lane.push(self.budget.take(bytes).await);
    }

    /// Returns the hash of all bytes that came; `None` if the thread that took it was lost.
    pub(super) async fn finish(self) -> Option<Printed> {
        let hash = self.lane.finish_soon(|sameness| sameness.0.finalize().into()).await?;
        Some((self.size, hash))
    }
}
