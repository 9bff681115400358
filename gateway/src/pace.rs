//! Bytes a second: a cap that all who pass it share.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A limit: bytes pass one after the other, in the order in which they were asked for.
pub struct Cap {
    rate: NonZeroU32,
    /// When all bytes that were asked for so far may have passed.
    free_at: Mutex<Instant>,
}

/// A cap that may be changed, set or lifted while bytes wait for it.
#[derive(Default)]
pub struct Pace(Mutex<Option<Arc<Cap>>>);

/// Bytes that are asked for at once, at most: all who wait ask for little, so that none waits long for the others.
const STEP: usize = 64 << 10;

/// What was not used in this time is saved up.
const SAVED: Duration = Duration::from_millis(250);

/// Nobody sleeps longer than this before looking whether the cap is another one by now.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Cap {
    /// Makes a cap of so many bytes a second.
    pub fn new(rate: NonZeroU32) -> Self {
        Self { rate, free_at: Mutex::new(Instant::now()) }
    }

    /// Returns when so many bytes may pass, after all that were asked for before.
    fn reserve(&self, bytes: usize) -> Instant {
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let start = now.checked_sub(SAVED).map_or(*free_at, |saved| saved.max(*free_at));
        *free_at = start + Duration::from_secs_f64(bytes as f64 / f64::from(self.rate.get()));
        *free_at
    }
}

impl Pace {
    /// Sets the cap, also for those who wait; `None` lifts it.
    pub fn set(&self, rate: Option<NonZeroU32>) {
        let mut cap = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cap.as_ref().map(|cap| cap.rate) != rate {
            *cap = rate.map(|rate| Arc::new(Cap::new(rate)));
        }
    }

    /// Waits until so many bytes may pass.
    pub async fn pass(&self, bytes: usize) {
        pass(bytes, || self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).await;
    }
}

/// Waits until so many bytes may pass a cap, which may be another one from one step to the next.
pub async fn pass(bytes: usize, cap: impl Fn() -> Option<Arc<Cap>>) {
    let mut left = bytes;
    while left > 0 {
        let Some(now) = cap() else { return };
        let step = left.min(STEP);
        left -= step;
        let until = now.reserve(step);
        while let Some(wait) = until.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero()) {
            tokio::time::sleep(wait.min(LOOK_EVERY)).await;
            if !cap().is_some_and(|cap| Arc::ptr_eq(&cap, &now)) {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_keep_to_a_pace_until_it_is_lifted() {
        let pace = Pace::default();
        let started = Instant::now();
        pace.pass(1 << 30).await;
        pace.set(NonZeroU32::new(1_000_000));
        pace.pass(500_000).await;
        assert!(started.elapsed() >= Duration::from_millis(200), "{:?}", started.elapsed());
        pace.set(NonZeroU32::new(1));
        let lift = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            pace.set(None);
        };
        let both = async { tokio::join!(pace.pass(1 << 20), lift) };
        tokio::time::timeout(Duration::from_secs(20), both).await.expect("a lifted cap holds nobody any more");
    }
}
