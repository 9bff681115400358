//! The key's own hash, taken off the runtime while content streams by.

use annex_protocol::hash::Hasher;
use annex_protocol::key::Key;
use bytes::Bytes;
use futures_util::StreamExt;
use keep_store::base::stream::{Budget, Counted, Lane, Work};

use crate::node::ByteStream;

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

    /// Takes content that a node kept of an earlier upload, which must be `size` bytes.
    pub(super) async fn take_kept(&mut self, mut kept: ByteStream, size: u64) -> std::io::Result<()> {
        if self.lane.is_none() {
            self.size = size;
            return Ok(());
        }
        while self.size < size {
            let missing = size - self.size;
            let mut bytes = kept.next().await.ok_or(std::io::ErrorKind::UnexpectedEof)??;
            bytes.truncate(usize::try_from(missing).unwrap_or(usize::MAX));
            self.take(bytes).await;
        }
        Ok(())
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
