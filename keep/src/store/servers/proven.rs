//! Services that have lately shown something, and need not show it again for a while.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Services by address, with the time at which each one showed it.
#[derive(Default)]
pub(super) struct Proven(Mutex<HashMap<String, Instant>>);

/// No cluster has so many services; more are forgotten, and asked again.
const MOST: usize = 10_000;

impl Proven {
    /// Notes that a service has just shown it.
    pub(super) fn note(&self, service: &str) {
        let mut table = self.table();
        if table.len() >= MOST {
            table.clear();
        }
        table.insert(service.to_owned(), Instant::now());
    }

    /// Tells whether a service showed it so lately.
    pub(super) fn holds(&self, service: &str, within: Duration) -> bool {
        self.table().get(service).is_some_and(|at| at.elapsed() < within)
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
