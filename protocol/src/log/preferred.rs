//! `preferred-content.log`, `required-content.log` and `group-preferred-content.log`.
//!
//! Source: `docs/spec/git-annex-branch.md` §5; [`crate::prefer`] reads the expressions.

use super::field::{Layout, Record};
use crate::uuid::Uuid;

/// The text of a repository's preferred or required content expression, verbatim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preferred(pub Vec<u8>);

/// The text of the expression that `groupwanted` means for members of a group, verbatim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPreferred(pub Vec<u8>);

impl Record for Preferred {
    const LAYOUT: Layout = Layout::ClockLast;
    type Field = Uuid;

    fn parse(text: &[u8]) -> Option<Self> {
        Some(Self(text.to_vec()))
    }

    fn write(&self) -> Vec<u8> {
        self.0.clone()
    }
}

impl Record for GroupPreferred {
    const LAYOUT: Layout = Layout::ClockFirst;
    type Field = Vec<u8>;

    fn parse(text: &[u8]) -> Option<Self> {
        Some(Self(text.to_vec()))
    }

    fn write(&self) -> Vec<u8> {
        self.0.clone()
    }
}
