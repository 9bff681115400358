//! Why something was not done natively in a git-annex repository.

use std::io;

use crate::branch::BranchError;
use crate::node::error::NodeError;

/// Why something was not done natively.
pub(super) enum Obstacle {
    /// Only git-annex itself can do it right; why, and what to do where there is none.
    GitAnnex(String),
    /// It failed.
    Failed(NodeError),
}

impl From<BranchError> for NodeError {
    fn from(error: BranchError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<NodeError> for Obstacle {
    fn from(error: NodeError) -> Self {
        Self::Failed(error)
    }
}

impl From<BranchError> for Obstacle {
    fn from(error: BranchError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<io::Error> for Obstacle {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Obstacle> for NodeError {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::GitAnnex(why) => {
                Self::Unsupported(format!("{why}; install git-annex on this machine, or use a node ssh://HOST/PATH"))
            }
            Obstacle::Failed(error) => error,
        }
    }
}
