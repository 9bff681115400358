//! Why a program did not do what it was asked.

use std::time::Duration;

use crate::node::error::NodeError;

/// Why a program did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Breakdown {
    /// It ended, or does not speak the protocol; a new one may do better.
    #[error("{0}")]
    Broken(String),
    /// It does nothing.
    #[error("{0}")]
    Hung(String),
    /// Nobody wants the answer any more.
    #[error("nobody waits for it")]
    Cancelled,
}

impl Breakdown {
    pub(super) fn hung(what: &str, after: Duration) -> Self {
        Self::Hung(format!("it {what} for {} s", after.as_secs_f32()))
    }
}

impl From<NodeError> for Breakdown {
    fn from(error: NodeError) -> Self {
        Self::Broken(error.to_string())
    }
}
