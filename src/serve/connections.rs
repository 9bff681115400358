//! How many connections are open, over all doors.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The open connections of a process. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub struct Connections(Arc<AtomicUsize>);

/// One open connection; it counts until this is dropped.
#[derive(Debug)]
pub struct Permit(Connections);

impl Connections {
    /// Counts one more connection, unless there are `limit` already.
    pub fn admit(&self, limit: usize) -> Option<Permit> {
        let one_more = |open: usize| (open < limit).then_some(open + 1);
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).ok()?;
        Some(Permit(self.clone()))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_counts_until_it_ends_and_the_limit_may_change() {
        let connections = Connections::default();
        let first = connections.admit(1).unwrap();
        assert!(connections.admit(1).is_none());
        let second = connections.admit(2).unwrap();
        drop(first);
        assert!(connections.admit(1).is_none());
        drop(second);
        assert!(connections.admit(1).is_some());
    }
}
