//! Bytes a second: of the whole site, and of each user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use annex_gateway::pace::{Cap, pass};
use annex_gateway::site::config::Limits;

use super::limits::user_limits;
use crate::host::caller::Who;

/// The caps of a process.
pub(super) struct Rates(Mutex<Caps>);

struct Caps {
    limits: Limits,
    site: Option<Arc<Cap>>,
    users: HashMap<Who, Arc<Cap>>,
}

impl Rates {
    pub(super) fn new(limits: &Limits) -> Self {
        Self(Mutex::new(Caps::new(limits)))
    }

    pub(super) fn set_limits(&self, limits: &Limits) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Caps::new(limits);
    }

    /// Waits until so many bytes may pass. A transfer that waits for its user's own limit uses nothing of the site's
    /// limit.
    pub(super) async fn pass(&self, who: &Who, bytes: usize) {
        pass(bytes, || self.user(who)).await;
        pass(bytes, || self.site()).await;
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use annex_gateway::site::config::Config;

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
