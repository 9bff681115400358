//! The hash behind each key backend: does content match its key?
//!
//! Backends are those of git-annex 10.20261026; vectors `key-hashes.json`, recorded from `git annex calckey`.

use crate::hex;
use crate::key::Key;

mod state;

#[cfg(test)]
mod tests;

/// Hashes content as the backend of a key does, piece by piece.
///
/// ```
/// # use annex_protocol::{hash::Hasher, key::Key};
/// let key = Key::parse(b"MD5E-s6--b1946ac92492d2347c6235b4d2611184.txt").unwrap();
/// let mut hasher = Hasher::for_key(&key).unwrap();
/// hasher.update(b"hel");
/// hasher.update(b"lo\n");
/// assert!(hasher.matches(&key));
/// ```
pub struct Hasher(Box<dyn state::State>);

impl Hasher {
    /// Makes the hasher that can tell whether content belongs to `key`.
    ///
    /// `None` when nobody can tell by hashing: `WORM`, `URL`, encrypted keys, keys of a chunk, external (`X…`) and
    /// unknown backends.
    pub fn for_key(key: &Key) -> Option<Self> {
        let is_chunk = key.parent_bytes() != key.as_bytes();
        if is_chunk { None } else { Self::for_backend(key.backend()) }
    }

    /// Makes the hasher of a backend, with or without the `E` (extension) at the end of its name.
    pub fn for_backend(backend: &[u8]) -> Option<Self> {
        state::new(without_e(backend)).map(Self)
    }

    /// Takes the next bytes of the content.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the hash of all bytes taken, in lower-case hex.
    pub fn finish(self) -> String {
        hex::encode(&self.0.finish())
    }

    /// Tells whether the bytes taken are the content of `key`: compares the hash with the key's name up to its first
    /// `.`. Does not look at the key's size.
    ///
    /// A backslash before the hash counts as nothing: a bug in git-annex once made such keys, and it still reads them.
    pub fn matches(self, key: &Key) -> bool {
        let expected = key.name().split(|byte| *byte == b'.').next().unwrap_or_default();
        let expected = expected.strip_prefix(b"\\").unwrap_or(expected);
        self.finish().as_bytes() == expected
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher")
    }
}

/// Tells whether a backend's hash is cryptographically secure: git-annex's `securehash`.
///
/// True for SHA2, SHA3, SKEIN, BLAKE2 and BLAKE3, with and without `E`. Source: `docs/spec/preferred-content.md` §5;
/// `VURL` depends on other keys and counts as not secure here.
pub fn is_secure(backend: &[u8]) -> bool {
    let name = without_e(backend);
    !matches!(name, b"MD5" | b"SHA1" | b"XXH3") && state::new(name).is_some()
}

fn without_e(backend: &[u8]) -> &[u8] {
    backend.strip_suffix(b"E").unwrap_or(backend)
}
