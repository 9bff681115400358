//! Why a request failed: each cause with a name, a text for the user and a kind for the doors.

use annex_protocol::uuid::Uuid;

use super::shown::shown;
use crate::branch::BranchError;
use crate::node::NodeError;
use crate::site::SiteError;

mod kind;

pub use kind::{ErrorKind, HasKind};

/// A node failed; the text names it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("node {node}: {source}")]
pub struct NodeFailure {
    /// The node's name.
    pub node: String,
    /// What it said.
    pub source: NodeError,
}

/// Why a request failed. Display gives a text for the user, [`HasKind::kind`] what a door makes its answer of.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// A node failed, or cannot be reached. The node's operator must act.
    #[error(transparent)]
    Node(#[from] NodeFailure),
    /// All nodes that could have done it failed, each for a reason of its own. The nodes' operator must act.
    #[error("{}", joined(.0))]
    Nodes(Vec<NodeFailure>),
    /// The git-annex branch failed. The site's operator must act.
    #[error(transparent)]
    Branch(#[from] BranchError),
    /// The site's database failed. The site's operator must act.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// Content was to be stored in the gateway's own repository. The user must name the cluster or a node.
    #[error("this repository is a gateway and holds no content of its own; store to its cluster or a node")]
    NoContentHere,
    /// No node wants the content by preferred content. The user must change the placement, or leave it.
    #[error("no node of this cluster wants the content")]
    Unwanted,
    /// Keys of this backend may not be stored: their hash does not protect the content. The user must migrate the key.
    #[error(
        "{rule} blocked adding {backend} key: its hash is not cryptographically secure; \
         \"git annex migrate --backend=SHA256E\" gives the file a key that is"
    )]
    InsecureHash {
        /// Who asks for secure hashes: the site, or a setting of the repository.
        rule: &'static str,
        /// The key's backend.
        backend: String,
    },
    /// The content is larger than the site allows, or than the key says. The user, or an admin, must act.
    #[error("the content is too large: at most {} of a key are stored here", shown(*.largest))]
    TooLarge {
        /// How many bytes are allowed.
        largest: u64,
    },
    /// A key without a size cannot be counted against a quota. The user must migrate the key.
    #[error(
        "this repository has a quota, and the key has no size: \
         it cannot be stored (\"git annex migrate\" gives the file a key that has)"
    )]
    NoSize,
    /// The repository's quota is used up. The user must drop something, or an admin must raise the quota.
    #[error(transparent)]
    Quota(#[from] QuotaExceeded),
    /// What a client sent is not the content of the key. The client must send it again.
    #[error("what was sent is not the content of the key")]
    NotTheContent,
    /// What a node gave is not the content of the key. The node's operator must look at its disks.
    #[error("node {node}: what it gave is not the content of the key")]
    Damaged {
        /// The node's name.
        node: String,
    },
    /// A node stopped giving content, and no other node could go on. The node's operator must act.
    #[error("node {node}: {cause}, and no other copy could take its place")]
    BrokeOff {
        /// The name of the node that the content came from.
        node: String,
        /// How it stopped.
        cause: String,
    },
    /// A copy that was to be stored elsewhere ended before all of it came. The node's operator must look at its disks.
    #[error("not all of the content came")]
    CameShort,
    /// The content was there, and is not any more. Nobody can act unless somebody has a copy.
    #[error("the content is gone")]
    Gone,
    /// A lock keeps the content on a node. The client may ask again when the lock is given back.
    #[error("node {node}: the content is locked against removal")]
    Locked {
        /// The node's name.
        node: String,
    },
    /// A lock has ended before it was renewed. The client must lock the content anew.
    #[error("the lock has ended")]
    LockEnded,
    /// The time by which the client wanted the removal done is over. The client must begin the removal again.
    #[error("node {node}: the time allowed for the removal is over")]
    TooLate {
        /// The node's name.
        node: String,
    },
    /// Too few other nodes hold the content to remove a copy. An admin must bring nodes back, or lower numcopies.
    #[error("{needed} copies must be on other nodes, but only {found} are")]
    TooFewCopies {
        /// How many copies numcopies and mincopies ask for.
        needed: usize,
        /// How many nodes could be made to keep theirs.
        found: usize,
    },
    /// A copy could not be removed because the key could not be copied elsewhere first. See both causes for who must act.
    #[error("{stays}: {copying}")]
    NotCopied {
        /// Why the copy stays.
        stays: Box<GatewayError>,
        /// Why the key could not be copied.
        copying: Box<GatewayError>,
    },
    /// A copy that its node does not want could not be removed. See the cause for who must act.
    #[error("the surplus copy on node {node} stays: {source}")]
    SurplusStays {
        /// The node's name.
        node: String,
        /// Why it stays.
        source: Box<GatewayError>,
    },
    /// Several things failed. See each for who must act.
    #[error("{}", joined(.0))]
    Several(Vec<GatewayError>),
    /// The repository has no node of this name. The user must name another one.
    #[error("this repository has no node {0}")]
    NoSuchNode(String),
    /// A client wants another repository than it reached. The user must correct the remote's UUID.
    #[error("expected repository UUID {expected} but found UUID {found}")]
    OtherRepository {
        /// The UUID that the client named.
        expected: Uuid,
        /// The UUID of the cluster that is here.
        found: Uuid,
    },
    /// The key with which nodes are tried out could not be made. This is our fault.
    #[error("the probe has no key")]
    NoProbe,
}

/// A repository's nodes may hold so much together, and one more key would be too much. All sizes are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaExceeded {
    /// What all nodes may hold together.
    pub quota: u64,
    /// What they hold.
    pub used: u64,
    /// What uploads under way will bring.
    pub coming: u64,
    /// The size of the key.
    pub size: u64,
    /// On how many nodes the key was to be stored.
    pub nodes: usize,
}

impl std::error::Error for QuotaExceeded {}

impl std::fmt::Display for QuotaExceeded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { quota, used, coming, size, nodes } = *self;
        let (quota, used, size) = (shown(quota), shown(used), shown(size));
        write!(f, "over the quota of this repository: its nodes may hold {quota}, they hold {used}")?;
        if coming > 0 {
            write!(f, ", {} are on the way", shown(coming))?;
        }
        write!(f, ", and this key needs {size} on each of {nodes}; drop something first, or ask an admin of this site")
    }
}

impl GatewayError {
    /// Makes one error of several; `Ok` of none.
    pub(super) fn of_all(mut errors: Vec<Self>) -> Result<(), Self> {
        match (errors.pop(), errors.is_empty()) {
            (None, _) => Ok(()),
            (Some(only), true) => Err(only),
            (Some(last), false) => {
                errors.push(last);
                Err(Self::Several(errors))
            }
        }
    }
}

impl HasKind for GatewayError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Node(failure) => failure.kind(),
            Self::Nodes(failures) => ErrorKind::of_all(failures.iter().map(NodeFailure::kind)),
            Self::Branch(error) => error.kind(),
            Self::Site(error) => error.kind(),
            Self::NoContentHere | Self::Unwanted | Self::InsecureHash { .. } | Self::NoSize => ErrorKind::Denied,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Quota(_) => ErrorKind::Quota,
            Self::NotTheContent => ErrorKind::Invalid,
            Self::Damaged { .. } => ErrorKind::Damaged,
            Self::BrokeOff { .. } | Self::CameShort => ErrorKind::NodeFailed,
            Self::Gone | Self::NoSuchNode(_) | Self::OtherRepository { .. } => ErrorKind::Absent,
            Self::Locked { .. } | Self::LockEnded | Self::TooLate { .. } | Self::TooFewCopies { .. } => {
                ErrorKind::Conflict
            }
            Self::NotCopied { stays, .. } => stays.kind(),
            Self::SurplusStays { source, .. } => source.kind(),
            Self::Several(errors) => ErrorKind::of_all(errors.iter().map(Self::kind)),
            Self::NoProbe => ErrorKind::Internal,
        }
    }
}

impl HasKind for NodeFailure {
    fn kind(&self) -> ErrorKind {
        HasKind::kind(&self.source)
    }
}

/// Joins the texts of several errors to one line.
pub fn joined<E: std::fmt::Display>(errors: &[E]) -> String {
    errors.iter().map(E::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(node: &str, source: NodeError) -> NodeFailure {
        NodeFailure { node: node.to_owned(), source }
    }

    #[test]
    fn failures_of_several_nodes_keep_their_names_and_have_one_kind() {
        let full = |node| failure(node, NodeError::Full("0 bytes are free".to_owned()));
        let both = GatewayError::Nodes(vec![full("a"), full("b")]);
        assert_eq!(both.to_string(), "node a: full: 0 bytes are free; node b: full: 0 bytes are free");
        assert_eq!(both.kind(), ErrorKind::NoRoom);
        let away = failure("c", NodeError::Unreachable("no answer in 60 s".to_owned()));
        assert_eq!(GatewayError::Nodes(vec![full("a"), away]).kind(), ErrorKind::Unreachable);
    }

    #[test]
    fn a_quota_that_is_used_up_tells_what_to_do() {
        let quota = QuotaExceeded { quota: 20_000, used: 19_000, coming: 0, size: 1500, nodes: 3 };
        assert_eq!(
            quota.to_string(),
            "over the quota of this repository: its nodes may hold 20 kB, they hold 19 kB, and this key needs 1.5 kB on \
             each of 3; drop something first, or ask an admin of this site"
        );
        let coming = QuotaExceeded { coming: 1000, ..quota }.to_string();
        assert!(coming.contains("they hold 19 kB, 1 kB are on the way, and this key"), "{coming}");
        assert_eq!(GatewayError::from(quota).kind(), ErrorKind::Quota);
    }

    #[test]
    fn what_stays_is_of_the_kind_of_its_cause() {
        let locked = GatewayError::Locked { node: "a".to_owned() };
        let stays = GatewayError::SurplusStays { node: "a".to_owned(), source: Box::new(locked) };
        assert_eq!(stays.kind(), ErrorKind::Conflict);
        assert_eq!(
            stays.to_string(),
            "the surplus copy on node a stays: node a: the content is locked against removal"
        );
        assert!(GatewayError::of_all(Vec::new()).is_ok());
        assert_eq!(GatewayError::of_all(vec![stays]).unwrap_err().kind(), ErrorKind::Conflict);
    }
}
