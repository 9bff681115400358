//! Removing a key from one node once enough other nodes are proved to hold it.

use annex_protocol::key::Key;
use keep_store::base::task::blocking;

use crate::branch::BranchError;
use crate::gateway::{Gateway, GatewayError, Locked, Target};

/// Removes a key from the node at this position when as many other nodes as numcopies and mincopies ask for hold it
/// under lock; the locks last until the removal has ended.
///
/// Nodes that are to become empty do not count, nor those that git-annex would not count.
pub(super) async fn remove_proved(gateway: &Gateway, position: usize, key: &Key) -> Result<(), GatewayError> {
    let asking = gateway.clone();
    let asked = blocking(move || {
        let placer = &asking.shared.placer;
        Ok::<_, BranchError>((placer.copies_needed()?, placer.counting()?))
    });
    let (needed, counting) = asked.await?;
    let mut locks: Vec<Locked> = Vec::new();
    for other in counting.into_iter().filter(|other| *other != position) {
        if locks.len() >= needed {
            break;
        }
        if let Ok(Some(lock)) = gateway.lock(Target::Node(other), key).await {
            locks.push(lock);
        }
    }
    let outcome = if locks.len() >= needed {
        let removed = gateway.remove(Target::Node(position), key, None).await;
        removed.and_then(|removed| GatewayError::of_all(removed.failures))
    } else {
        Err(GatewayError::TooFewCopies { needed, found: locks.len() })
    };
    for lock in locks {
        if let Err(error) = gateway.unlock(lock).await {
            // If giving the lock back fails, it ends by its deadline.
            tracing::warn!("{key}: unlocking content: {error}");
        }
    }
    outcome
}
