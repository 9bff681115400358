//! How long a node is waited for.

use std::time::Duration;

/// How long a node is waited for before it counts as not reachable.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// Until it can be spoken to.
    pub connect: Duration,
    /// Until it answers a request.
    pub answer: Duration,
    /// Until the next bytes of a content came or went.
    pub progress: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self { connect: Duration::from_secs(20), answer: minute, progress: minute }
    }
}
