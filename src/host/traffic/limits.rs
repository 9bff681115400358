//! Limits of those who ask, and what a client is told that comes when they are reached.

use annex_gateway::gateway::{ErrorKind, HasKind};
use annex_gateway::site::config::{Limits, UserLimits};

use crate::host::caller::Who;

/// So much is going on that the client should come again later.
#[derive(Debug, thiserror::Error)]
#[error("the server is busy: too many transfers are waiting; try again later")]
pub struct Busy;

/// So many are connected that the client should come again later.
#[derive(Debug, thiserror::Error)]
#[error("the server is busy: too many connections are open; try again later")]
pub struct Crowded;

impl HasKind for Busy {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Busy
    }
}

/// Returns the limits of whoever asks. Who has the site's files in hand has none of their own.
pub(super) fn user_limits(limits: &Limits, who: &Who) -> UserLimits {
    match who {
        Who::Owner => UserLimits::default(),
        Who::User(name) => limits.user(name),
        // All without a name are one user.
        Who::Anonymous => limits.user("anonymous"),
    }
}
