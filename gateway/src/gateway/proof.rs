//! Removing a key from one node once enough other nodes are proved to hold it.

use annex_protocol::key::Key;
use annex_protocol::log::Trust;
use keep_store::base::task::blocking;

use super::{Gateway, GatewayError, Locked, Member, Target};
use crate::branch::BranchError;

impl Gateway {
    /// Removes a key from the node at this position when as many other nodes as numcopies and mincopies ask for hold it
    /// under lock; the locks last until the removal has ended.
    ///
    /// Nodes that are to become empty do not count, nor those that git-annex would not count.
    pub(super) async fn remove_proved(&self, position: usize, key: &Key) -> Result<(), GatewayError> {
        let gateway = self.clone();
        let asked = blocking(move || Ok::<_, BranchError>((gateway.copies_needed()?, gateway.counting()?)));
        let (needed, counting) = asked.await?;
        let mut locks: Vec<Locked> = Vec::new();
        for other in counting.into_iter().filter(|other| *other != position) {
            if locks.len() >= needed {
                break;
            }
            if let Ok(Some(lock)) = self.lock(Target::Node(other), key).await {
                locks.push(lock);
            }
        }
        let outcome = if locks.len() >= needed {
            let removed = self.remove(Target::Node(position), key, None).await;
            removed.and_then(|removed| GatewayError::of_all(removed.failures))
        } else {
            Err(GatewayError::TooFewCopies { needed, found: locks.len() })
        };
        for lock in locks {
            if let Err(error) = self.unlock(lock).await {
                // If giving the lock back fails, it ends by its deadline.
                tracing::warn!("{key}: unlocking content: {error}");
            }
        }
        outcome
    }

    /// Returns the positions of nodes whose copies count when one is removed elsewhere. Blocks.
    pub(super) fn counting(&self) -> Result<Vec<usize>, BranchError> {
        let state = self.placement()?;
        let counts = |(_, member): &(usize, &Member)| {
            !member.draining && state.placement.trust(&member.uuid) >= Trust::Semitrusted
        };
        Ok(self.0.nodes.iter().enumerate().filter(counts).map(|(position, _)| position).collect())
    }
}
