//! The hold on a node that nobody but this gateway removes from.

use async_trait::async_trait;

use super::error::NodeError;
use super::port::Hold;

/// A hold that needs no call to the node.
struct OnlyOurs;

/// Holds content that is there. Nothing has to be done for it: the gateway keeps its own removals apart from locks.
pub(super) fn hold_if(present: bool) -> Option<Box<dyn Hold>> {
    present.then(|| Box::new(OnlyOurs) as Box<dyn Hold>)
}

#[async_trait]
impl Hold for OnlyOurs {
    async fn renew(&mut self) -> Result<(), NodeError> {
        Ok(())
    }

    async fn release(self: Box<Self>) -> Result<(), NodeError> {
        Ok(())
    }
}
