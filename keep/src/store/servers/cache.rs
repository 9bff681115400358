//! Blocks that were read lately: small files of a collection share blocks.

use std::collections::VecDeque;

use annex_protocol::keep::BlockHash;
use bytes::Bytes;

/// The newest blocks, oldest first, up to a number of bytes.
pub(super) struct Cache {
    limit: usize,
    size: usize,
    blocks: VecDeque<(BlockHash, Vec<Bytes>)>,
}

impl Cache {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, size: 0, blocks: VecDeque::new() }
    }

    /// Returns a block, and counts it as the newest.
    pub(super) fn get(&mut self, hash: BlockHash) -> Option<Vec<Bytes>> {
        let at = self.blocks.iter().position(|(other, _)| *other == hash)?;
        let found = self.blocks.remove(at)?;
        let parts = found.1.clone();
        self.blocks.push_back(found);
        Some(parts)
    }

    pub(super) fn put(&mut self, hash: BlockHash, parts: &[Bytes]) {
        let size = size_of(parts);
        if size > self.limit || self.blocks.iter().any(|(other, _)| *other == hash) {
            return;
        }
        self.size += size;
        self.blocks.push_back((hash, parts.to_vec()));
        while self.size > self.limit {
            let Some((_, oldest)) = self.blocks.pop_front() else { return };
            self.size -= size_of(&oldest);
        }
    }
}

fn size_of(parts: &[Bytes]) -> usize {
    parts.iter().map(Bytes::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stay_within_the_limit() {
        let mut cache = Cache::new(10);
        let blocks: Vec<_> = [b"aaaa", b"bbbb", b"cccc"].map(|text| Bytes::from_static(text)).into();
        let hash = |index: usize| BlockHash::of(&blocks[index]);
        cache.put(hash(0), &blocks[..1]);
        cache.put(hash(1), &blocks[1..2]);
        assert!(cache.get(hash(0)).is_some(), "it is now the newest");
        cache.put(hash(2), &blocks[2..]);
        assert!(cache.get(hash(1)).is_none());
        assert_eq!(cache.get(hash(0)).unwrap(), [blocks[0].clone()]);
        cache.put(BlockHash::of(b"large"), &[Bytes::from_static(b"more than ten bytes")]);
        assert!(cache.get(hash(2)).is_some() && cache.get(BlockHash::of(b"large")).is_none());
    }
}
