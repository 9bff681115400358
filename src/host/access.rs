//! What a client does with the content of keys: one set of steps for all doors.
//!
//! Each request goes the same way: it begins, waits for its turn if it moves content, asks the gateway, moves bytes within
//! the limits, and ends with an outcome that is logged and counted. A door turns the words of its protocol into these calls
//! and what comes of them into its answers; it begins and ends nothing by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use annex_gateway::gateway::{ErrorKind, Gateway, GatewayError, HasKind, Target};
use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;

use crate::host::hub::{Hosted, Hub};
use crate::host::traffic::{Busy, Operation, Scope};

mod get;
mod lock;
mod put;
mod remove;

pub use get::Download;
pub use lock::Held;
pub use put::{Offset, Put, Source, Upload};

/// A client's access to the content of a repository: for whom, through which door, and to which of its nodes.
pub struct Access {
    /// The repository's nodes.
    pub gateway: Gateway,
    /// The UUID that the client asked for.
    pub uuid: Uuid,
    /// What that UUID stands for.
    pub target: Target,
    /// For whom requests are, and where they are counted.
    pub scope: Scope,
    /// How what was recorded is committed.
    pub commits: Commits,
}

/// How changes of the git-annex branch's journal come into the branch. Cloning is cheap.
#[derive(Clone)]
pub enum Commits {
    /// In the background, soon.
    Soon(Hub, Arc<Hosted>),
    /// By the door, which looks whether there is something.
    ByDoor(Arc<AtomicBool>),
}

/// Why a client's request for content failed.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// It got no turn.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The gateway could not do it.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
}

impl HasKind for AccessError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Busy(busy) => busy.kind(),
            Self::Gateway(error) => error.kind(),
        }
    }
}

impl Access {
    /// Tells whether a key's content is there.
    pub async fn present(&self, key: &Key) -> Result<bool, GatewayError> {
        let request = self.scope.request(Operation::CheckPresent, key);
        request.settle(self.gateway.present(self.target, key).await)
    }

    /// Leaves out the UUID that the client asked for: it knows that one from the answer itself.
    pub fn others(&self, mut uuids: Vec<Uuid>) -> Vec<Uuid> {
        uuids.retain(|uuid| *uuid != self.uuid);
        uuids
    }
}

impl Commits {
    /// Is told that something may have been recorded.
    fn note(&self) {
        match self {
            Self::Soon(hub, hosted) => hub.commit_soon(hosted),
            Self::ByDoor(due) => due.store(true, Ordering::Relaxed),
        }
    }
}
