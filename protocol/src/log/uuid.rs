//! `uuid.log`: descriptions of repositories. Source: `docs/spec/git-annex-branch.md` §5.

use super::field::{Layout, Record};
use crate::uuid::Uuid;

/// A repository's description, as it is written: a line end is the two characters `\n`, and stays so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description(pub Vec<u8>);

impl Record for Description {
    const LAYOUT: Layout = Layout::ClockLast;
    type Field = Uuid;

    fn parse(text: &[u8]) -> Option<Self> {
        Some(Self(text.to_vec()))
    }

    fn write(&self) -> Vec<u8> {
        self.0.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(&b"\\n"[..])
    }
}
