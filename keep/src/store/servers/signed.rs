//! Permission signatures that are known, newest first to expire last.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annex_protocol::keep::{BlockHash, Locator};
use tokio::time::Instant;

use crate::base::clock::SharedClock;

/// Signed locators by block, and which blocks were stored lately.
pub(super) struct Signed {
    table: Mutex<Table>,
    clock: SharedClock,
}

#[derive(Default)]
struct Table {
    locators: HashMap<BlockHash, Locator>,
    stored: HashMap<BlockHash, Instant>,
}

/// More are forgotten: they can be learnt again.
const MOST: usize = 1 << 18;
/// How long it is remembered that a block was stored.
const FRESH: Duration = Duration::from_secs(600);

impl Signed {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self { table: Mutex::default(), clock }
    }

    /// Returns a block's locator with the signature that lasts longest.
    pub(super) fn get(&self, hash: BlockHash) -> Option<Locator> {
        self.table().locators.get(&hash).cloned()
    }

    /// Notes a locator, if it is signed and not known to last longer already.
    pub(super) fn put(&self, locator: &Locator) {
        if !locator.is_signed() && locator.hints().next().is_none() {
            return;
        }
        let mut table = self.table();
        let longer = |known: &Locator| expiry(known) > expiry(locator);
        if table.locators.get(&locator.hash()).is_some_and(longer) {
            return;
        }
        if table.locators.len() >= MOST {
            let now = self.clock.unix_seconds();
            table.locators.retain(|_, known| expiry(known).is_none_or(|expiry| expiry > now));
            if table.locators.len() >= MOST {
                table.locators.clear();
            }
        }
        table.locators.insert(locator.hash(), locator.clone());
    }

    /// Forgets a signature that a server did not accept.
    pub(super) fn forget(&self, hash: BlockHash) {
        self.table().locators.remove(&hash);
    }

    /// Notes that servers have just stored a block.
    pub(super) fn stored(&self, hash: BlockHash) {
        let mut table = self.table();
        if table.stored.len() >= MOST {
            table.stored.retain(|_, at| at.elapsed() < FRESH);
        }
        table.stored.insert(hash, Instant::now());
    }

    /// Tells whether servers stored a block so lately, at most ten minutes ago, that they need not be asked after it.
    pub(super) fn is_fresh(&self, hash: BlockHash, within: Duration) -> bool {
        self.table().stored.get(&hash).is_some_and(|at| at.elapsed() < within.min(FRESH))
    }

    /// Tells whether the signature that is known of a block is good for less than a minute more.
    pub(super) fn is_expiring(&self, hash: BlockHash) -> bool {
        let now = self.clock.unix_seconds();
        self.get(hash).is_some_and(|known| expiry(&known).is_some_and(|expiry| expiry < now + 60))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns until when a locator's signature is good, in Unix seconds.
fn expiry(locator: &Locator) -> Option<u64> {
    let hint = locator.hints().find(|hint| hint.starts_with('A'))?;
    u64::from_str_radix(hint.rsplit_once('@')?.1, 16).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::base::clock::ManualClock;

    #[test]
    fn the_signature_that_lasts_longest_is_kept() {
        let sign = |expiry: &str| Locator::of(b"foo").with_hint(&format!("A{}@{expiry}", "0".repeat(40))).unwrap();
        let clock = Arc::new(ManualClock::new(UNIX_EPOCH + Duration::from_secs(0x7fff_ff00)));
        let (signed, hash) = (Signed::new(clock.clone()), BlockHash::of(b"foo"));
        signed.put(&Locator::of(b"foo"));
        assert_eq!(signed.get(hash), None);
        signed.put(&sign("7ffffff0"));
        signed.put(&sign("10000000"));
        assert_eq!(signed.get(hash), Some(sign("7ffffff0")));
        signed.put(&sign("7fffffff"));
        assert_eq!(signed.get(hash), Some(sign("7fffffff")));
        clock.advance(Duration::from_secs(0xff - 60));
        assert!(!signed.is_expiring(hash));
        clock.advance(Duration::from_secs(1));
        assert!(signed.is_expiring(hash), "less than a minute is too little for a request");
        signed.forget(hash);
        assert_eq!(signed.get(hash), None);
    }
}
