//! How long a node is waited for.

use std::time::Duration;

/// How long a node may be silent before it counts as not reachable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Until a connection stands and the peer has greeted.
    pub connect: Duration,
    /// Until a request is answered.
    pub answer: Duration,
    /// Until the next bytes of content come, or are taken.
    pub progress: Duration,
}

/// A peer that has all of a content may still have to read it once before it answers: no disk is slower than this, in
/// bytes a second.
const SLOWEST_CHECK: u64 = 20_000_000;

impl Patience {
    /// Returns a patience with this limit for an answer, and for everything else.
    pub fn of(answer: Duration) -> Self {
        Self { connect: answer.min(Duration::from_secs(20)), answer, progress: answer }
    }

    /// Returns how long it may take to make durable what was sent, whatever its size, or to remove it.
    pub fn commit(&self) -> Duration {
        self.answer * 5
    }

    /// Returns how long the answer to an upload of `size` bytes may take.
    pub fn check(&self, size: u64) -> Duration {
        self.answer + Duration::from_secs(size / SLOWEST_CHECK)
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self::of(Duration::from_secs(60))
    }
}
