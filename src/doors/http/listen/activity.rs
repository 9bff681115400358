//! What goes on on a connection: whether somebody waits, for whom, and since when.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What goes on on a connection. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Activity(Arc<Mutex<Counts>>);

struct Counts {
    /// Requests that have not been answered to the end.
    requests: usize,
    /// Since when there are bytes that the client does not take.
    blocked: Option<Instant>,
    /// When something happened last.
    last: Instant,
}

/// A request under way.
pub(super) struct Underway(Activity);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Counts { requests: 0, blocked: None, last: Instant::now() })))
    }

    /// A request begins; it ends when what is returned is dropped.
    pub(super) fn request(&self) -> Underway {
        self.state().requests += 1;
        Underway(self.clone())
    }

    /// Bytes were sent, or cannot be sent now.
    pub(super) fn sent(&self, some: bool) {
        let mut state = self.state();
        if some {
            state.last = Instant::now();
            state.blocked = None;
        } else {
            state.blocked.get_or_insert_with(Instant::now);
        }
    }

    /// For how long nobody has waited for anything on this connection; `None` while somebody does.
    pub(super) fn idle(&self) -> Option<Duration> {
        let state = self.state();
        (state.requests == 0 && state.blocked.is_none()).then(|| state.last.elapsed())
    }

    /// For how long the client has taken nothing of what is there for it.
    pub(super) fn blocked(&self) -> Duration {
        self.state().blocked.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn state(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.requests = state.requests.saturating_sub(1);
        state.last = Instant::now();
    }
}
