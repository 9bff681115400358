//! `export.log`: which trees were exported where. Source: `docs/spec/git-annex-branch.md` §5.

use super::field::{Layout, LogField, Record};
use super::lines::words;
use crate::uuid::Uuid;

/// Who exported to where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExportField {
    /// The repository that exported.
    pub from: Uuid,
    /// The special remote it exported to.
    pub to: Uuid,
}

/// What was exported: object names of git trees in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedTree {
    /// The tree.
    pub tree: Vec<u8>,
    /// Trees whose export was begun and not finished.
    pub incomplete: Vec<Vec<u8>>,
}

impl LogField for ExportField {
    fn parse(word: &[u8]) -> Option<Self> {
        let colon = word.iter().position(|byte| *byte == b':')?;
        Some(Self { from: Uuid::parse(word.get(..colon)?)?, to: Uuid::parse(word.get(colon + 1..)?)? })
    }

    fn write(&self) -> Vec<u8> {
        [self.from.as_bytes(), b":", self.to.as_bytes()].concat()
    }
}

impl Record for ExportedTree {
    const LAYOUT: Layout = Layout::ClockFirst;
    type Field = ExportField;

    fn parse(text: &[u8]) -> Option<Self> {
        let mut words = words(text).map(<[u8]>::to_vec);
        Some(Self { tree: words.next()?, incomplete: words.collect() })
    }

    fn write(&self) -> Vec<u8> {
        let trees = std::iter::once(&self.tree).chain(&self.incomplete);
        trees.map(Vec::as_slice).collect::<Vec<_>>().join(&b' ')
    }
}
