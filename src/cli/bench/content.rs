//! Content that is made up: cheap to make again, so that every byte that comes back can be compared.

use annex_protocol::hash::Hasher;
use annex_protocol::key::Key;
use bytes::{Bytes, BytesMut};
use keep_store::base::task::blocking;

use crate::error::Failure;

/// As many contents of one size as there are keys; no two runs have a content in common.
pub(super) struct Contents {
    keys: Vec<Key>,
    size: u64,
    /// After so many bytes, a multiple of [`CHUNK`], a content begins anew.
    repeat: u64,
    seed: u64,
    pattern: Vec<u8>,
}

/// What a content is made of: a part of the pattern, with a stamp at its start that is nowhere else.
pub(super) const CHUNK: usize = 64 << 10;

/// Parts in the pattern.
const PARTS: usize = 16;

const STAMP: usize = 8;

impl Contents {
    /// Makes contents of `size` bytes, and their keys. A content says the same again after `repeat` bytes, if there is a limit.
    pub(super) async fn make(count: u32, size: u64, repeat: Option<u64>) -> Result<Self, Failure> {
        let chunk = CHUNK as u64;
        let repeat = repeat.unwrap_or(u64::MAX - u64::MAX % chunk);
        if repeat == 0 || !repeat.is_multiple_of(chunk) {
            return Err(Failure::usage(format!("content can repeat after a multiple of {} KiB", chunk >> 10)));
        }
        if size < STAMP as u64 {
            return Err(Failure::usage(format!("contents of less than {STAMP} bytes would be alike")));
        }
        blocking(move || {
            let seed = uuid::Uuid::new_v4().as_u64_pair().0;
            let mut state = seed;
            let words = std::iter::repeat_with(|| mixed(&mut state).to_le_bytes());
            let pattern = words.take(CHUNK * PARTS / 8).flatten().collect();
            let mut contents = Self { keys: Vec::new(), size, repeat, seed, pattern };
            let keys: Result<Vec<_>, _> = (0..count).map(|number| contents.key(number)).collect();
            contents.keys = keys?;
            Ok(contents)
        })
        .await
    }

    pub(super) fn keys(&self) -> &[Key] {
        &self.keys
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Returns the bytes of a content in the chunk that begins at `offset`, a multiple of [`CHUNK`]; none at its end.
    pub(super) fn chunk(&self, number: u32, offset: u64) -> Bytes {
        let length = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX).min(CHUNK);
        let part = offset % self.repeat / CHUNK as u64;
        let from = CHUNK * usize::try_from(part % PARTS as u64).unwrap_or_default();
        let mut stamp = self.seed ^ (u64::from(number) << 32) ^ part;
        let mut bytes = BytesMut::with_capacity(length);
        bytes.extend_from_slice(&mixed(&mut stamp).to_le_bytes());
        bytes.extend_from_slice(self.pattern.get(from + STAMP..from + CHUNK).unwrap_or_default());
        bytes.truncate(length);
        bytes.freeze()
    }

    fn key(&self, number: u32) -> Result<Key, Failure> {
        let mut hasher = Hasher::for_backend(b"SHA256").ok_or_else(|| Failure::failed("no SHA256"))?;
        let mut offset = 0;
        while offset < self.size {
            let chunk = self.chunk(number, offset);
            hasher.update(&chunk);
            offset += chunk.len() as u64;
        }
        Ok(Key::parse(format!("SHA256-s{}--{}", self.size, hasher.finish()).as_bytes())?)
    }
}

/// Compares what comes with a content, byte by byte.
pub(super) struct Comparison<'a> {
    contents: &'a Contents,
    number: u32,
    position: u64,
    /// What is left of the present chunk.
    chunk: Bytes,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(contents: &'a Contents, number: u32) -> Self {
        Self { contents, number, position: 0, chunk: Bytes::new() }
    }

    /// Takes the next bytes; false if they are not the content's.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if self.chunk.is_empty() {
                self.chunk = self.contents.chunk(self.number, self.position);
            }
            let length = bytes.len().min(self.chunk.len());
            let (now, rest) = bytes.split_at(length);
            if length == 0 || self.chunk.split_to(length) != now {
                return false;
            }
            self.position += length as u64;
            bytes = rest;
        }
        true
    }

    /// Tells whether all of the content came.
    pub(super) fn is_whole(&self) -> bool {
        self.position == self.contents.size
    }
}

/// The next number of the splitmix64 sequence.
fn mixed(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_comes_back_changed_cut_or_longer_is_noticed() {
        let size = CHUNK as u64 * 2 + 100;
        let contents = Contents::make(2, size, None).await.unwrap_or_else(|failure| panic!("{}", failure.text));
        assert_ne!(contents.keys()[0], contents.keys()[1]);
        let whole: Vec<u8> = [0, CHUNK as u64, 2 * CHUNK as u64].map(|at| contents.chunk(0, at).to_vec()).concat();
        assert_eq!(whole.len() as u64, size);
        let compare = |bytes: &[u8], step: usize| {
            let mut comparison = Comparison::new(&contents, 0);
            bytes.chunks(step).all(|part| comparison.take(part)) && comparison.is_whole()
        };
        for step in [1000, CHUNK, whole.len()] {
            assert!(compare(&whole, step));
            assert!(!compare(&whole[..whole.len() - 1], step));
            assert!(!compare(&[whole.as_slice(), b"x"].concat(), step));
            for at in [0, CHUNK, whole.len() - 1] {
                let mut changed = whole.clone();
                changed[at] ^= 1;
                assert!(!compare(&changed, step), "{at}");
            }
        }
        let mut comparison = Comparison::new(&contents, 1);
        assert!(!comparison.take(&whole), "another key's content");
    }

    #[tokio::test]
    async fn content_that_repeats_has_the_key_of_all_its_bytes() {
        let repeat = CHUNK as u64 * 2;
        let size = repeat * 2 + 100;
        let contents = Contents::make(1, size, Some(repeat)).await.unwrap_or_else(|failure| panic!("{}", failure.text));
        let whole: Vec<u8> = (0..size).step_by(CHUNK).flat_map(|at| contents.chunk(0, at)).collect();
        assert_eq!(whole.len() as u64, size);
        assert_eq!(whole[..CHUNK * 2], whole[CHUNK * 2..CHUNK * 4]);
        assert_eq!(whole[..100], whole[CHUNK * 4..]);
        assert_ne!(whole[..CHUNK], whole[CHUNK..CHUNK * 2]);
        let mut hasher = Hasher::for_backend(b"SHA256").expect("SHA256");
        hasher.update(&whole);
        assert_eq!(
            contents.keys()[0],
            Key::parse(format!("SHA256-s{size}--{}", hasher.finish()).as_bytes()).expect("key")
        );
        let mut comparison = Comparison::new(&contents, 0);
        assert!(comparison.take(&whole) && comparison.is_whole());
        for wrong in [0, 1, CHUNK as u64 + 1] {
            assert!(Contents::make(1, size, Some(wrong)).await.is_err());
        }
    }
}
