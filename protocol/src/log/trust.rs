//! `trust.log`. Source: `docs/spec/git-annex-branch.md` §5 and §6.

use super::field::{Layout, Record};
use crate::uuid::Uuid;

/// How far a repository is trusted to keep what it has; ordered from least to most.
///
/// A repository without a line is semitrusted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trust {
    /// `X`: lost. Its copies and its place as a cluster node do not count.
    Dead,
    /// `0`: its copies do not count for numcopies.
    Untrusted,
    /// `?`: its copies count after they were checked.
    #[default]
    Semitrusted,
    /// `1`: its copies count unchecked.
    Trusted,
}

impl Trust {
    /// Returns the level by its English name, as preferred content expressions spell it.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"dead" => Some(Self::Dead),
            b"untrusted" => Some(Self::Untrusted),
            b"semitrusted" => Some(Self::Semitrusted),
            b"trusted" => Some(Self::Trusted),
            _ => None,
        }
    }
}

impl Record for Trust {
    const LAYOUT: Layout = Layout::ClockLast;
    type Field = Uuid;

    fn parse(text: &[u8]) -> Option<Self> {
        match text {
            b"" | b"1" => Some(Self::Trusted),
            b"0" => Some(Self::Untrusted),
            b"X" => Some(Self::Dead),
            // A letter of a newer git-annex; longer text is skipped by git-annex, too.
            [_] => Some(Self::Semitrusted),
            _ => None,
        }
    }

    fn write(&self) -> Vec<u8> {
        match self {
            Self::Dead => b"X".to_vec(),
            Self::Untrusted => b"0".to_vec(),
            Self::Semitrusted => b"?".to_vec(),
            Self::Trusted => b"1".to_vec(),
        }
    }
}
