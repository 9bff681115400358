//! What an error means for the caller: exit code, protocol reply.

use std::error::Error;
use std::process::ExitCode;

use annex_gateway::branch::BranchError;
use annex_gateway::gateway::{ErrorKind, GatewayError, HasKind};
use annex_gateway::site::SiteError;

/// What a command's end means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It failed: exit code 1.
    Failed,
    /// It was called wrongly: exit code 2.
    Usage,
    /// A part was done, a part was not: exit code 3.
    Partly,
    /// It failed, and may work later as it is: exit code 4.
    Later,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Failed => Self::from(1),
            Exit::Usage => Self::from(2),
            Exit::Partly => Self::from(3),
            Exit::Later => Self::from(4),
        }
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Busy | ErrorKind::Unreachable => Self::Later,
            ErrorKind::Invalid
            | ErrorKind::BrokenOff
            | ErrorKind::Denied
            | ErrorKind::Absent
            | ErrorKind::Conflict
            | ErrorKind::TooLarge
            | ErrorKind::Quota
            | ErrorKind::NoRoom
            | ErrorKind::Damaged
            | ErrorKind::NodeFailed
            | ErrorKind::Internal => Self::Failed,
        }
    }
}

/// An error as a command shows it: one clear text, and what it means.
#[derive(Debug)]
pub struct Failure {
    /// What it means.
    pub exit: Exit,
    /// What happened, where, and what to do.
    pub text: String,
}

impl Failure {
    /// Makes a failure with exit code 1.
    pub fn failed(text: impl std::fmt::Display) -> Self {
        Self { exit: Exit::Failed, text: text.to_string() }
    }

    /// Makes a failure of usage, exit code 2.
    pub fn usage(text: impl std::fmt::Display) -> Self {
        Self { exit: Exit::Usage, text: text.to_string() }
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut exit = kind(&error).map(Exit::from);
        let mut source = error.source();
        while let Some(cause) = source {
            exit = exit.or_else(|| kind(cause).map(Exit::from));
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            source = cause.source();
        }
        Self { exit: exit.unwrap_or(Exit::Failed), text }
    }
}

/// Returns the kind of an error of the gateway; `None` of any other.
fn kind(error: &(dyn Error + 'static)) -> Option<ErrorKind> {
    let gateway = error.downcast_ref::<GatewayError>().map(HasKind::kind);
    let site = || error.downcast_ref::<SiteError>().map(HasKind::kind);
    let branch = || error.downcast_ref::<BranchError>().map(HasKind::kind);
    gateway.or_else(site).or_else(branch)
}

#[cfg(test)]
mod tests {
    use annex_gateway::gateway::NodeFailure;
    use annex_gateway::node::NodeError;

    use super::*;

    #[test]
    fn a_node_that_is_away_means_come_again_later() {
        let away = |source| GatewayError::Node(NodeFailure { node: "a".to_owned(), source });
        let failure = Failure::from(away(NodeError::Unreachable("no answer in 60 s".to_owned())));
        assert_eq!((failure.exit, failure.text.as_str()), (Exit::Later, "node a: not reachable: no answer in 60 s"));
        assert_eq!(Failure::from(away(NodeError::Full("full".to_owned()))).exit, Exit::Failed);
        assert_eq!(Failure::from(GatewayError::NoSuchNode("x".to_owned())).exit, Exit::Failed);
        assert_eq!(Failure::from(std::io::Error::other("anything else")).exit, Exit::Failed);
    }
}
