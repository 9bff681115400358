//! `difference.log`: repositories whose layout is tuned. Source: `docs/spec/git-annex-branch.md` §2 and §5.

use std::collections::BTreeSet;

use super::field::{FieldLog, Layout, Record};
use crate::uuid::Uuid;

/// How a repository differs from the usual layout: `ObjectHashLower`, `OneLevelObjectHash`, `OneLevelBranchHash`.
///
/// Text of another form is one difference by itself, so that it is not overlooked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences(pub BTreeSet<Vec<u8>>);

impl Record for Differences {
    const LAYOUT: Layout = Layout::ClockLast;
    type Field = Uuid;

    fn parse(text: &[u8]) -> Option<Self> {
        let list = text.strip_prefix(b"fromList [").and_then(|rest| rest.strip_suffix(b"]"));
        let names = list.unwrap_or(text).split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        Some(Self(names.filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect()))
    }

    fn write(&self) -> Vec<u8> {
        let names = self.0.iter().map(Vec::as_slice).collect::<Vec<_>>().join(&b',');
        [&b"fromList ["[..], &names, b"]"].concat()
    }
}

impl FieldLog<Differences> {
    /// Returns every difference of any repository; a branch with one must be refused by a program that ignores tuning.
    pub fn all(&self) -> BTreeSet<&[u8]> {
        self.iter().flat_map(|(_, differences)| differences.0.iter().map(Vec::as_slice)).collect()
    }
}
