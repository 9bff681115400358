//! Bytes a second: of the whole site, and of each user.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::user_limits;
use crate::serve::caller::Who;
use crate::site::config::Limits;

/// The caps of a process.
pub(super) struct Rates(Mutex<Caps>);

struct Caps {
    limits: Limits,
    site: Option<Arc<Cap>>,
    users: HashMap<Who, Arc<Cap>>,
}

/// A cap: bytes take their time one after the other, in the order in which they were asked for.
struct Cap {
    rate: NonZeroU32,
    /// When the bytes asked for so far have had their time.
    free_at: Mutex<Instant>,
}

/// Bytes that are asked for at once, at most: all who wait ask for little, so that none waits long for the others.
const STEP: usize = 64 << 10;

/// What was not used in this time is saved up.
const SAVED: Duration = Duration::from_millis(250);

/// Nobody sleeps longer than this before looking whether the caps are others by now.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Rates {
    pub(super) fn new(limits: &Limits) -> Self {
        Self(Mutex::new(Caps::new(limits)))
    }

    pub(super) fn set_limits(&self, limits: &Limits) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Caps::new(limits);
    }

    /// Waits until so many bytes may pass. What the user's own cap holds back takes nothing of the site's.
    pub(super) async fn pass(&self, who: &Who, bytes: usize) {
        self.pass_one(bytes, || self.user(who)).await;
        self.pass_one(bytes, || self.site()).await;
    }

    /// Waits for a cap, which may be another one from one step to the next.
    async fn pass_one(&self, bytes: usize, cap: impl Fn() -> Option<Arc<Cap>>) {
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

    fn site(&self) -> Option<Arc<Cap>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).site.clone()
    }

    fn user(&self, who: &Who) -> Option<Arc<Cap>> {
        let mut caps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = user_limits(&caps.limits, who).bytes_per_second?;
        if let Some(cap) = caps.users.get(who) {
            return Some(Arc::clone(cap));
        }
        let cap = Arc::new(Cap::new(rate));
        caps.users.insert(who.clone(), Arc::clone(&cap));
        Some(cap)
    }
}

impl Caps {
    fn new(limits: &Limits) -> Self {
        let site = limits.bytes_per_second.map(|rate| Arc::new(Cap::new(rate)));
        Self { limits: limits.clone(), site, users: HashMap::new() }
    }
}

impl Cap {
    fn new(rate: NonZeroU32) -> Self {
        Self { rate, free_at: Mutex::new(Instant::now()) }
    }

    /// Returns when so many bytes have had their time, after all that were asked for before.
    fn reserve(&self, bytes: usize) -> Instant {
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let start = now.checked_sub(SAVED).map_or(*free_at, |saved| saved.max(*free_at));
        *free_at = start + Duration::from_secs_f64(bytes as f64 / f64::from(self.rate.get()));
        *free_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::config::Config;

    fn rates(limits: &str) -> Rates {
        let node = "[nodes.a]\nid = \"59a5eba9-ef36-4fc5-b11d-effc1bd2effc\"\nstore = \"keep:/a\"\n";
        Rates::new(&Config::parse(&format!("[limits]\n{limits}\n{node}")).unwrap().limits)
    }

    #[tokio::test]
    async fn a_cap_holds_over_all_transfers_of_a_user_and_leaves_others_alone() {
        let rates = rates("[limits.user.alice]\nbytes_per_second = 1000000");
        let (alice, bob) = (Who::User("alice".to_owned()), Who::User("bob".to_owned()));
        let started = Instant::now();
        tokio::join!(rates.pass(&alice, 375_000), rates.pass(&alice, 375_000));
        assert!(started.elapsed() >= Duration::from_millis(450), "{:?}", started.elapsed());
        let started = Instant::now();
        rates.pass(&bob, 1 << 30).await;
        assert!(started.elapsed() < Duration::from_millis(400), "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn the_slowest_cap_and_the_end_of_all_caps() {
        let rates = rates("bytes_per_second = 1");
        let who = Who::Anonymous;
        rates.pass(&who, 1).await;
        let node = "[nodes.a]\nid = \"59a5eba9-ef36-4fc5-b11d-effc1bd2effc\"\nstore = \"keep:/a\"\n";
        let lift = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            rates.set_limits(&Config::parse(node).unwrap().limits);
        };
        let passed = tokio::time::timeout(Duration::from_secs(20), async {
            tokio::join!(rates.pass(&who, 1 << 20), lift);
        });
        passed.await.expect("a lifted cap holds nobody any more");
    }
}
