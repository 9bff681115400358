//! Work off the runtime, and the end of all work.

use tokio::runtime::Handle;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

tokio::task_local! {
    /// Stands in the future that [`together`] runs, whose thread may block, and in nothing else.
    static ASIDE: ();
}

fn is_aside() -> bool {
    ASIDE.try_with(|()| ()).is_ok()
}

/// Runs file and database work off the runtime. A panic of the work goes on in the caller.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match try_blocking(work).await {
        Ok(done) => done,
        Err(lost) if lost.is_panic() => std::panic::resume_unwind(lost.into_panic()),
        // The runtime ends, and the caller with it.
        Err(_) => std::future::pending().await,
    }
}

/// Runs file and database work off the runtime; an error if it panicked or the runtime has ended.
pub async fn try_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    if is_aside() {
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
    if is_aside() {
        return Ok(future.await);
    }
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || runtime.block_on(ASIDE.scope((), future))).await
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

#[cfg(test)]
mod tests {
    use std::thread::{ThreadId, current};

    use super::*;

    async fn where_it_works() -> ThreadId {
        blocking(|| current().id()).await
    }

    #[tokio::test]
    async fn work_leaves_the_runtime_once_for_all_that_is_done_together() {
        let here = current().id();
        assert_ne!(where_it_works().await, here);
        let (first, second, nested) = together(async {
            let nested = together(where_it_works()).await.unwrap();
            (current().id(), where_it_works().await, nested)
        })
        .await
        .unwrap();
        assert!(first != here && first == second && first == nested);
        assert_ne!(where_it_works().await, here, "it is over with the future that was set aside");
    }

    #[tokio::test]
    async fn what_was_set_aside_and_lost_leaves_its_thread_as_it_was() {
        let lost = together(async { std::panic::resume_unwind(Box::new(())) });
        assert!(lost.await.is_err());
        for _ in 0..3 {
            let inside = tokio::task::spawn_blocking(is_aside).await.unwrap();
            assert!(!inside);
        }
    }
}
