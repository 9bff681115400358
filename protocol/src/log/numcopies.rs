//! `numcopies.log` and `mincopies.log`. Source: `docs/spec/git-annex-branch.md` §5 and §6.

use std::fmt;

use super::lines::decimal;

/// A number of copies, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Copies(u64);

impl Copies {
    /// Returns this number of copies; zero acts as one.
    pub fn new(copies: u64) -> Self {
        Self(copies.max(1))
    }

    /// Returns the number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// Parses a decimal; everything below one, negative numbers too, acts as one.
    pub fn parse(text: &[u8]) -> Option<Self> {
        match text.strip_prefix(b"-") {
            Some(digits) => decimal(digits).map(|_| Self(1)),
            None => decimal(text).map(Self::new),
        }
    }
}

impl Default for Copies {
    fn default() -> Self {
        Self(1)
    }
}

impl fmt::Display for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
