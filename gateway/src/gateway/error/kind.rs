//! What kind of error something is: what doors make their answers of, and who must act.
//!
//! Errors of all layers below the doors get their kind here and nowhere else, so that nothing is decided by an error's text.

use std::fmt;
use std::io;

use keep_store::service::UploadError;
use keep_store::store::StoreError;

use crate::branch::BranchError;
use crate::git::GitError;
use crate::node::NodeError;
use crate::site::SiteError;

/// The kind of an error. Each says who must act so that the same request works the next time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request contradicts itself, or the content sent is not the key's. The client must send something else.
    Invalid,
    /// The client went away, or sent or took nothing for too long. The client must come again.
    BrokenOff,
    /// The site or the repository does not allow it. The user must ask for something else, or an admin must allow it.
    Denied,
    /// What was asked for is not here. The user must ask elsewhere.
    Absent,
    /// A lock, or a deadline that has passed, prevents it. The client may ask again.
    Conflict,
    /// The key is larger than this site stores. The user must split the content, or an admin must raise the limit.
    TooLarge,
    /// The repository's quota is used up. The user must drop something, or an admin must raise the quota.
    Quota,
    /// The nodes have no room. The nodes' operator must make room.
    NoRoom,
    /// A node gave bytes that are not the key's content. The node's operator must look at its disks.
    Damaged,
    /// A node was asked and failed. The node's operator must look at it.
    NodeFailed,
    /// A node cannot be reached, so nobody knows whether it has the content. The client may ask again when the node's
    /// operator has brought it back.
    Unreachable,
    /// Too much is going on at once, here or on a node. The client must ask again later.
    Busy,
    /// The gateway itself failed: its repository, its database, its configuration. The site's operator must act, or we.
    Internal,
}

/// An error of which a door can make its answer: a text for the user, and a kind.
pub trait HasKind: fmt::Display {
    /// Returns what kind of error it is.
    fn kind(&self) -> ErrorKind;
}

impl ErrorKind {
    /// Returns its name in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::BrokenOff => "broken_off",
            Self::Denied => "denied",
            Self::Absent => "absent",
            Self::Conflict => "conflict",
            Self::TooLarge => "too_large",
            Self::Quota => "quota",
            Self::NoRoom => "no_room",
            Self::Damaged => "damaged",
            Self::NodeFailed => "node_failed",
            Self::Unreachable => "unreachable",
            Self::Busy => "busy",
            Self::Internal => "internal",
        }
    }

    /// Returns the kind of several errors that together made a request fail; of none, [`ErrorKind::Internal`].
    ///
    /// The kind that promises most to whoever tries again comes first: one node that is only out of reach makes the whole
    /// request worth another try, while a request is told that there is no room only if no node had any.
    pub fn of_all(kinds: impl IntoIterator<Item = Self>) -> Self {
        kinds.into_iter().min_by_key(|kind| kind.rank()).unwrap_or(Self::Internal)
    }

    /// Returns the kind of a failure with a file of the gateway's own: it is out of order, or its disk is full.
    pub fn of_own_file(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoRoom,
            _ => Self::Internal,
        }
    }

    /// Returns the place among the kinds of several errors, the one that counts first.
    fn rank(self) -> u8 {
        match self {
            Self::Internal => 0,
            Self::Busy => 1,
            Self::Unreachable => 2,
            Self::NodeFailed => 3,
            Self::Damaged => 4,
            Self::Quota => 5,
            Self::NoRoom => 6,
            Self::TooLarge => 7,
            Self::Conflict => 8,
            Self::Denied => 9,
            Self::Absent => 10,
            Self::Invalid => 11,
            Self::BrokenOff => 12,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<E: HasKind + ?Sized> HasKind for &E {
    fn kind(&self) -> ErrorKind {
        (**self).kind()
    }
}

impl HasKind for NodeError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreachable(_) => ErrorKind::Unreachable,
            Self::Full(_) => ErrorKind::NoRoom,
            Self::Busy(_) => ErrorKind::Busy,
            Self::Locked(_) => ErrorKind::Conflict,
            Self::Damaged(_) => ErrorKind::Damaged,
            // The node refused the gateway, not the client. And the gateway verified what it sent: the client sent good bytes.
            Self::Denied(_) | Self::Unsupported(_) | Self::WrongUpload(_) | Self::Failed(_) => ErrorKind::NodeFailed,
        }
    }
}

impl HasKind for BranchError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Git(error) => error.kind(),
            Self::Journal { source, .. } => ErrorKind::of_own_file(source),
            Self::Unsupported(_) => ErrorKind::Internal,
        }
    }
}

impl HasKind for GitError {
    fn kind(&self) -> ErrorKind {
        match self {
            // Other processes changed the reference again and again.
            Self::Moved { .. } => ErrorKind::Busy,
            Self::Repository { .. } | Self::Program { .. } => ErrorKind::Internal,
        }
    }
}

impl HasKind for SiteError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing(_) | Self::Exists(_) | Self::Config { .. } => ErrorKind::Internal,
            Self::File { source, .. } => ErrorKind::of_own_file(source),
            Self::Database { source, .. } => match source {
                busy if busy.is_busy() => ErrorKind::Busy,
                full if full.is_full() => ErrorKind::NoRoom,
                _ => ErrorKind::Internal,
            },
            Self::Invalid(_) => ErrorKind::Invalid,
        }
    }
}

impl HasKind for StoreError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Gone { .. } | Self::Size { .. } => ErrorKind::Absent,
            Self::Damaged { .. } => ErrorKind::Damaged,
            Self::Full { .. } => ErrorKind::NoRoom,
            Self::Collision { .. } | Self::Lost { .. } => ErrorKind::Internal,
            // All other errors say that the store cannot be used now.
            _ => ErrorKind::Unreachable,
        }
    }
}

impl HasKind for UploadError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge => ErrorKind::TooLarge,
            Self::Mismatch { .. } => ErrorKind::Invalid,
            Self::Busy => ErrorKind::Busy,
            Self::Store(error) => error.kind(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_room_only_if_no_node_has_any() {
        use ErrorKind::*;
        assert_eq!(ErrorKind::of_all([NoRoom, NoRoom]), NoRoom);
        assert_eq!(ErrorKind::of_all([NoRoom, Unreachable, NoRoom]), Unreachable, "it may work when that node is back");
        assert_eq!(ErrorKind::of_all([NoRoom, NodeFailed]), NodeFailed);
        assert_eq!(ErrorKind::of_all([NodeFailed, Unreachable]), Unreachable);
        assert_eq!(ErrorKind::of_all([]), Internal);
    }

    #[test]
    fn a_removal_that_only_locks_prevent_is_a_conflict() {
        use ErrorKind::*;
        assert_eq!(ErrorKind::of_all([Conflict, Conflict]), Conflict);
        assert_eq!(ErrorKind::of_all([Conflict, NodeFailed]), NodeFailed);
    }

    #[test]
    fn the_gateways_own_full_disk_is_no_room() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let path = std::path::PathBuf::from("journal");
        let journal = BranchError::Journal { path, source: full };
        assert_eq!(journal.kind(), ErrorKind::NoRoom);
    }
}
