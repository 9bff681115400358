//! Work off the runtime, and the end of all work.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Runs file and database work off the runtime. A panic of the work goes on in the caller.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(lost) => std::panic::resume_unwind(lost.into_panic()),
    }
}

/// Tells everything in the program that it is to end: first what waits, then what works.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// No new work is begun.
    pub drain: CancellationToken,
    /// Work under way is broken off.
    pub stop: CancellationToken,
    /// What has to end before the program does.
    pub running: TaskTracker,
}
