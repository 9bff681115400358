//! What a connection, its client and its sessions know of each other.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What a connection, its client and its sessions know of each other. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Life {
    /// The client proved who it is.
    pub(super) known: CancellationToken,
    /// Ends the connection; cancelled too when it has ended.
    pub(super) cut: CancellationToken,
    /// Held by the session that is open.
    pub(super) turn: Arc<Semaphore>,
    /// Commands that run.
    pub(super) commands: TaskTracker,
}

impl Life {
    pub(super) fn new() -> Self {
        Self {
            known: CancellationToken::new(),
            cut: CancellationToken::new(),
            turn: Arc::new(Semaphore::new(1)),
            commands: TaskTracker::new(),
        }
    }
}
