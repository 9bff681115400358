//! What kind of error something is: what doors make their answers of, and who must act.
//!
//! Errors of all layers below the doors become a kind here and nowhere else, so that nobody has to read an error's text.

use std::fmt;
use std::io;

use crate::branch::BranchError;
use crate::git::GitError;
use crate::node::NodeError;
use crate::site::SiteError;

/// The kind of an error. Each says who must act so that the same request works the next time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request contradicts itself, or the content sent is not the key's. The client must send something else.
    Invalid,
    /// The site or the repository does not allow it. The user must ask for something else, or an admin must allow it.
    Denied,
    /// What was asked for is not here. The user must ask elsewhere.
    Absent,
    /// Something that holds now is against it: a lock, or a deadline that has passed. The client may ask again.
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
    /// Too much is going on. The client must ask again later.
    Busy,
    /// The gateway itself failed: its repository, its database, its configuration. The site's operator must act, or we.
    Internal,
}

impl ErrorKind {
    /// Returns its name in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
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
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<&NodeError> for ErrorKind {
    fn from(error: &NodeError) -> Self {
        match error {
            NodeError::Unreachable(_) => Self::Unreachable,
            NodeError::Full(_) => Self::NoRoom,
            NodeError::Failed(_) => Self::NodeFailed,
        }
    }
}

impl From<&BranchError> for ErrorKind {
    fn from(error: &BranchError) -> Self {
        match error {
            BranchError::Git(error) => error.into(),
            BranchError::Journal { source, .. } => of_own_file(source),
            BranchError::Unsupported(_) => Self::Internal,
        }
    }
}

impl From<&GitError> for ErrorKind {
    fn from(error: &GitError) -> Self {
        match error {
            // Other processes changed the reference again and again.
            GitError::Moved { .. } => Self::Busy,
            GitError::Repository { .. } | GitError::Program { .. } => Self::Internal,
        }
    }
}

impl From<&SiteError> for ErrorKind {
    fn from(error: &SiteError) -> Self {
        match error {
            SiteError::Missing(_) | SiteError::Exists(_) | SiteError::Config { .. } => Self::Internal,
            SiteError::File { source, .. } => of_own_file(source),
            SiteError::Database { source, .. } => match source.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => Self::Busy,
                Some(rusqlite::ErrorCode::DiskFull) => Self::NoRoom,
                _ => Self::Internal,
            },
            SiteError::Invalid(_) => Self::Invalid,
        }
    }
}

/// Returns the kind of a failure with a file of the gateway's own.
fn of_own_file(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::NoRoom,
        _ => ErrorKind::Internal,
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
    fn the_gateways_own_full_disk_is_no_room_and_its_busy_database_busy() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let path = std::path::PathBuf::from("journal");
        assert_eq!(ErrorKind::from(&BranchError::Journal { path: path.clone(), source: full() }), ErrorKind::NoRoom);
        let locked = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        let source = rusqlite::Error::SqliteFailure(locked, None);
        assert_eq!(ErrorKind::from(&SiteError::Database { path, source }), ErrorKind::Busy);
    }
}
