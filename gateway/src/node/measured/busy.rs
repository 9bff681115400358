//! What a node is doing now, and how fast it was lately.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::Instant;

/// How busy a node is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Load {
    /// Transfers of content from it and to it that are under way.
    pub transfers: u64,
    /// Bytes a second that it gave lately; `None` if nothing was read from it for a while.
    pub rate: Option<f64>,
}

/// What a node is doing, for all repositories.
#[derive(Debug, Default)]
pub(super) struct Busy {
    transfers: AtomicU64,
    rate: Mutex<Option<Rate>>,
}

#[derive(Debug, Clone, Copy)]
struct Rate {
    bytes_per_second: f64,
    at: Instant,
}

/// After this long a rate says nothing any more, and the node is tried again.
const RATE_LASTS: Duration = Duration::from_secs(60);

/// What is smaller tells how long a node takes to answer, not how fast it is.
const MEASURABLE: u64 = 256 << 10;

/// How much a new measurement counts, against all before.
const WEIGHT: f64 = 0.3;

/// A transfer under way; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Moving {
    busy: Arc<Busy>,
    bytes: u64,
    /// How long the node was waited for: a slow client is not the node's fault.
    waited: Duration,
}

impl Busy {
    pub(super) fn begin(self: &Arc<Self>) -> Moving {
        self.transfers.fetch_add(1, Ordering::Relaxed);
        Moving { busy: Arc::clone(self), bytes: 0, waited: Duration::ZERO }
    }

    pub(super) fn load(&self) -> Load {
        let rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = rate.filter(|rate| rate.at.elapsed() < RATE_LASTS);
        Load { transfers: self.transfers.load(Ordering::Relaxed), rate: fresh.map(|rate| rate.bytes_per_second) }
    }

    fn measured(&self, bytes: u64, waited: Duration) {
        if bytes < MEASURABLE {
            return;
        }
        let new = bytes as f64 / waited.as_secs_f64().max(1e-6);
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        let before = rate.filter(|rate| rate.at.elapsed() < RATE_LASTS).map_or(new, |rate| rate.bytes_per_second);
        *rate = Some(Rate { bytes_per_second: before + WEIGHT * (new - before), at: Instant::now() });
    }
}

impl Moving {
    /// Measures the bytes of a download.
    pub(super) fn timed<S: Stream<Item = io::Result<Bytes>> + Unpin>(self, stream: S) -> Timed<S> {
        Timed { moving: self, stream, since: None }
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        self.busy.transfers.fetch_sub(1, Ordering::Relaxed);
        self.busy.measured(self.bytes, self.waited);
    }
}

/// A download that is measured.
pub(super) struct Timed<S> {
    moving: Moving,
    stream: S,
    /// Since when bytes are waited for.
    since: Option<Instant>,
}

impl<S: Stream<Item = io::Result<Bytes>> + Unpin> Stream for Timed<S> {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let next = std::task::ready!(self.stream.poll_next_unpin(context));
        self.since = None;
        self.moving.waited += since.elapsed();
        if let Some(Ok(bytes)) = &next {
            self.moving.bytes += bytes.len() as u64;
        }
        Poll::Ready(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    #[tokio::test]
    async fn a_transfer_counts_until_it_is_dropped_and_then_tells_the_speed() {
        let busy = Arc::new(Busy::default());
        let (first, second) = (busy.begin(), busy.begin());
        assert_eq!(busy.load(), Load { transfers: 2, rate: None });
        drop(second);
        let slow = stream::iter(0..4).then(|_| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(Bytes::from(vec![0; 100_000]))
        });
        let mut timed = first.timed(slow.boxed());
        while let Some(bytes) = timed.next().await {
            bytes.unwrap();
            // The client takes its time, which is not counted.
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        assert_eq!(busy.load().transfers, 1);
        drop(timed);
        let Load { transfers, rate } = busy.load();
        assert_eq!(transfers, 0);
        let rate = rate.unwrap();
        assert!(rate > 100_000.0 && rate < 5_000_001.0, "{rate}");
    }

    #[test]
    fn what_was_dropped_early_says_nothing_of_speed() {
        let busy = Arc::new(Busy::default());
        busy.measured(MEASURABLE - 1, Duration::from_secs(100));
        assert_eq!(busy.load().rate, None);
        busy.measured(1_000_000, Duration::from_secs(1));
        busy.measured(2_000_000, Duration::from_secs(1));
        assert_eq!(busy.load().rate, Some(1_300_000.0));
    }
}
