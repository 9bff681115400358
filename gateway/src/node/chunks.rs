//! How content is cut into chunks, as the `chunk=` of git-annex's special remotes has it.

use annex_protocol::key::Key;

use super::error::NodeError;

/// How the content of one key is cut: whole, or in chunks of so many bytes (the last one is shorter).
#[derive(Clone)]
pub(super) struct Chunking {
    key: Key,
    size: Option<u64>,
}

impl Chunking {
    /// Cuts the content of a key in chunks of `size` bytes where a reader can tell how many there are: git-annex finds
    /// that out by the key's size, or else its own log.
    pub(super) fn new(key: &Key, size: Option<u64>) -> Self {
        let size = size.filter(|size| *size > 0 && key.size().is_some() && key.chunk().is_none());
        Self { key: key.clone(), size }
    }

    /// Returns the bytes of each chunk but the last; `None` if the content is stored whole.
    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    /// Returns the key of part `number` (from 1), or the key itself if the content is stored whole.
    pub(super) fn key(&self, number: u64) -> Key {
        self.size.map_or_else(|| self.key.clone(), |size| self.key.with_chunk(size, number))
    }

    /// Returns the number of parts that content of `bytes` has.
    pub(super) fn count(&self, bytes: u64) -> u64 {
        self.size.map_or(1, |size| bytes.div_ceil(size).max(1))
    }

    /// Returns the number of the part that byte `position` belongs to, and where it stands in it.
    pub(super) fn at(&self, position: u64) -> (u64, u64) {
        self.size.map_or((1, position), |size| (position / size + 1, position % size))
    }

    /// Returns how many bytes from `position` on belong to the same part.
    pub(super) fn room(&self, position: u64) -> u64 {
        self.size.map_or(u64::MAX, |size| size - position % size)
    }
}

/// The error about chunks of a key that has no size. How many there should be is only in the git-annex branch of the
/// repository that stored them.
pub(super) fn unknown_count() -> NodeError {
    NodeError::Unsupported(
        "the content is stored in chunks, and its key does not tell how many there should be".to_owned(),
    )
}
