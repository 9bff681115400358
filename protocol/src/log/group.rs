//! `group.log`: the groups of repositories. Source: `docs/spec/git-annex-branch.md` §5.

use std::collections::BTreeSet;

use super::field::{Layout, Record};
use super::lines::words;
use crate::uuid::Uuid;

/// The groups that a repository is in: names without spaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups(pub BTreeSet<Vec<u8>>);

impl Record for Groups {
    const LAYOUT: Layout = Layout::ClockLast;
    type Field = Uuid;

    fn parse(text: &[u8]) -> Option<Self> {
        Some(Self(words(text).map(<[u8]>::to_vec).collect()))
    }

    fn write(&self) -> Vec<u8> {
        self.0.iter().map(Vec::as_slice).collect::<Vec<_>>().join(&b' ')
    }
}
