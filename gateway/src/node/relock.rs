//! Locking content that is locked already, to make the lock last on.

use std::time::Duration;

use super::error::NodeError;

/// How often it is tried: somebody may just be finding out that the content cannot be removed.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(300);

/// Locks once more by `take`, which returns `None` if that cannot be done now.
pub(super) async fn lock_again<T, F>(take: impl Fn() -> F) -> Result<T, NodeError>
where
    F: Future<Output = Result<Option<T>, NodeError>>,
{
    for _ in 0..TRIES {
        if let Some(hold) = take().await? {
            return Ok(hold);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(NodeError::Failed("the content can no longer be locked there".to_owned()))
}
