//! The names of clusters.

use std::fmt;

/// The five characters that name a cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId([u8; 5]);

impl ClusterId {
    /// Reads exactly five characters `0-9a-z`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let id: [u8; 5] = text.try_into().ok()?;
        id.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()).then_some(Self(id))
    }

    /// Returns the five characters.
    pub fn as_bytes(&self) -> &[u8; 5] {
        &self.0
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{}", char::from(*byte)))
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterId({self})")
    }
}
