//! The associated file of GET and PUT.

use std::fmt;

use crate::line::is_space;

/// A name that a key has in the client's tree, as it stands on the wire; may be absent.
///
/// The wire form loses information (white space, control characters), so it is kept byte for byte and should be
/// forwarded as it came. The decoded name is for preferred content and display only: it can hold `..`, never open it.
/// Source: `docs/spec/p2p-protocol.md` §1.2.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct AssociatedFile(Box<[u8]>);

impl AssociatedFile {
    /// Reads a field of the wire; `None` if it is an absolute path or holds ASCII white space.
    pub fn parse(field: &[u8]) -> Option<Self> {
        let bad = field.starts_with(b"/") || field.iter().copied().any(is_space);
        (!bad).then(|| Self(field.into()))
    }

    /// Encodes a path relative to the top of the repository; `None` if it is absolute. An empty path means no file.
    pub fn encode(path: &[u8]) -> Option<Self> {
        if path.starts_with(b"/") {
            return None;
        }
        let mut field = Vec::with_capacity(path.len());
        for (character, bytes) in characters(path) {
            match character {
                Some('%') => field.extend_from_slice(b"%%"),
                // Unicode's white space too: git-annex decodes the line before it splits it.
                Some(c) if c.is_whitespace() => field.push(b'%'),
                _ => field.extend_from_slice(bytes),
            }
        }
        Some(Self(field.into()))
    }

    /// Returns the path, with `_` for each character that the wire cannot carry; `None` if there is no file.
    pub fn decode(&self) -> Option<Vec<u8>> {
        if self.is_none() {
            return None;
        }
        let mut path = Vec::with_capacity(self.0.len());
        let mut characters = characters(&self.0).peekable();
        while let Some((character, bytes)) = characters.next() {
            match character {
                Some('%') if characters.next_if(|(next, _)| *next == Some('%')).is_some() => path.push(b'%'),
                Some('%') => path.push(b'_'),
                Some(c) if c.is_control() => path.push(b'_'),
                _ => path.extend_from_slice(bytes),
            }
        }
        Some(path)
    }

    /// Returns the field as it stands on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Tells whether no file was named.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for AssociatedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssociatedFile({})", self.0.escape_ascii())
    }
}

/// Splits text into characters with their bytes; what is no UTF-8 comes as bytes without a character.
fn characters(text: &[u8]) -> impl Iterator<Item = (Option<char>, &[u8])> {
    text.utf8_chunks().flat_map(|chunk| {
        let valid = chunk.valid();
        let known = valid.char_indices().map(move |(at, c)| {
            let bytes = valid.as_bytes().get(at..at + c.len_utf8()).unwrap_or_default();
            (Some(c), bytes)
        });
        let invalid = Some((None, chunk.invalid())).filter(|(_, bytes)| !bytes.is_empty());
        known.chain(invalid)
    })
}
