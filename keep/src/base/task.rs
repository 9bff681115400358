//! Work off the runtime, and the end of all work.

use std::cell::Cell;

use tokio::runtime::Handle;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

thread_local! {
    /// Whether this thread is one that [`together`] has set aside.
    static ASIDE: Cell<bool> = const { Cell::new(false) };
}

/// Runs file and database work off the runtime. A panic of the work goes on in the caller.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match try_blocking(work).await {
        Ok(done) => done,
        Err(lost) => std::panic::resume_unwind(lost.into_panic()),
    }
}

/// Runs file and database work off the runtime; an error if it panicked or the runtime has ended.
pub async fn try_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    if ASIDE.get() {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await
}

/// Runs a future that is mostly such work on one thread off the runtime: each piece of work would cost a change of thread,
/// which takes longer than quick work does.
///
/// It may wait for threads of their own, and not for work that others have on the runtime's threads for such work: those
/// may all be taken by futures like this one.
pub async fn together<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> Result<T, JoinError> {
    if ASIDE.get() {
        return Ok(future.await);
    }
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _aside = Aside::new();
        runtime.block_on(future)
    })
    .await
}

/// Marks this thread, until it is dropped.
struct Aside;

impl Aside {
    fn new() -> Self {
        ASIDE.set(true);
        Self
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        ASIDE.set(false);
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
