//! Repository and cluster UUIDs, as git-annex writes them: opaque words.
//!
//! Source: `docs/spec/p2p-protocol.md` §1 and §11, `docs/spec/git-annex-branch.md` §6.

use std::fmt;
use std::sync::Arc;

/// A repository's or cluster's UUID: a non-empty byte string without white space.
///
/// git-annex never insists on the RFC 4122 form, so neither does this type. Order is that of the bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(Arc<[u8]>);

impl Uuid {
    /// Returns the UUID spelled by `text`, or `None` if it is empty or holds white space.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let bad = text.is_empty() || text.iter().any(|b| b.is_ascii_whitespace() || *b == 0x0b);
        (!bad).then(|| Self(text.into()))
    }

    /// Returns the bytes as they are written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Tells whether this is a cluster's UUID: it starts with `ac` and its version digit is `8`.
    pub fn is_cluster(&self) -> bool {
        self.0.starts_with(b"ac") && self.0.get(14) == Some(&b'8')
    }

    /// Returns the cluster UUID made from this one by overwriting its first two characters and its version digit.
    ///
    /// `None` if the text is too short to have a version digit.
    pub fn to_cluster(&self) -> Option<Self> {
        let mut bytes = self.0.to_vec();
        *bytes.get_mut(14)? = b'8';
        bytes.get_mut(..2)?.copy_from_slice(b"ac");
        Some(Self(bytes.into()))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uuid({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_uuid_is_recognised_and_made() {
        let plain = Uuid::parse(b"59a5eba9-ef36-4fc5-b11d-effc1bd2effc").expect("legal");
        assert!(!plain.is_cluster());
        let cluster = plain.to_cluster().expect("long enough");
        assert_eq!(cluster.as_bytes(), b"aca5eba9-ef36-8fc5-b11d-effc1bd2effc");
        assert!(cluster.is_cluster());
    }

    #[test]
    fn words_only() {
        assert!(Uuid::parse(b"").is_none());
        assert!(Uuid::parse(b"a b").is_none());
        assert!(Uuid::parse(b"anything-else").is_some());
    }
}
