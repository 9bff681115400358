//! `aaa/bbb/KEY.log.cnk`: how special remotes store a key in chunks. Source: `docs/spec/git-annex-branch.md` §5.

use super::field::{Layout, LogField, Record};
use super::lines::decimal;
use crate::uuid::Uuid;

/// A repository and a chunk size that it may store a key with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChunkField {
    /// The special remote.
    pub uuid: Uuid,
    /// Bytes in each chunk but the last.
    pub size: u64,
}

/// How many chunks there are; zero when the key is no longer stored with that chunk size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkCount(pub u64);

impl LogField for ChunkField {
    fn parse(word: &[u8]) -> Option<Self> {
        let colon = word.iter().rposition(|byte| *byte == b':')?;
        Some(Self { uuid: Uuid::parse(word.get(..colon)?)?, size: decimal(word.get(colon + 1..)?)? })
    }

    fn write(&self) -> Vec<u8> {
        [self.uuid.as_bytes(), b":", self.size.to_string().as_bytes()].concat()
    }
}

impl Record for ChunkCount {
    const LAYOUT: Layout = Layout::ClockFirst;
    type Field = ChunkField;

    fn parse(text: &[u8]) -> Option<Self> {
        decimal(text).map(Self)
    }

    fn write(&self) -> Vec<u8> {
        self.0.to_string().into_bytes()
    }
}
