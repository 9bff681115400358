//! What git-annex remembers of a key: where its manifest is.
//!
//! `1 LOCATOR [PATH…]`: the locator of the block with the key's manifest, signed if the servers sign; for a tree the
//! paths under which the key stands in it, escaped. One short line, since each change of it stays in the git-annex branch.

use std::collections::BTreeSet;

use annex_protocol::keep::Locator;

/// The state of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) manifest: Locator,
    /// Escaped.
    paths: BTreeSet<Vec<u8>>,
}

/// The form that is written; another one is from a later version of this program.
const FORM: &[u8] = b"1";

impl State {
    /// Makes the state of a key that has just been stored, under a path besides those already known.
    pub(super) fn new(manifest: Locator, known: Option<Self>, path: Option<&[u8]>) -> Self {
        let mut paths = known.map(|known| known.paths).unwrap_or_default();
        paths.extend(path.map(escaped));
        Self { manifest, paths }
    }

    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut words = text.split(|byte| *byte == b' ');
        if words.next() != Some(FORM) {
            return None;
        }
        let manifest = Locator::parse(words.next()?).ok()?;
        let paths: BTreeSet<Vec<u8>> = words.map(<[u8]>::to_vec).collect();
        (!paths.contains(&b""[..])).then_some(Self { manifest, paths })
    }

    pub(super) fn to_text(&self) -> Vec<u8> {
        let mut text = [FORM, b" ", self.manifest.to_string().as_bytes()].concat();
        for path in &self.paths {
            text.push(b' ');
            text.extend_from_slice(path);
        }
        text
    }

    /// Tells whether the key stands in the tree under this path; without one, whether it is stored.
    pub(super) fn has(&self, path: Option<&[u8]>) -> bool {
        path.is_none_or(|path| self.paths.contains(&escaped(path)))
    }

    /// Returns the text of the state without a path; empty when none is left, or none was meant.
    pub(super) fn without(mut self, path: Option<&[u8]>) -> Vec<u8> {
        let Some(path) = path else { return Vec::new() };
        self.paths.remove(&escaped(path));
        if self.paths.is_empty() { Vec::new() } else { self.to_text() }
    }

    /// The same with another path in place of one.
    pub(super) fn renamed(mut self, from: Option<&[u8]>, to: Option<&[u8]>) -> Self {
        if let Some(from) = from {
            self.paths.remove(&escaped(from));
        }
        self.paths.extend(to.map(escaped));
        self
    }
}

/// Writes a path as one word without `/`: what is special in it, and `%`, as `%` and two digits.
pub(super) fn escaped(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    for byte in path {
        match byte {
            0..=b' ' | b'%' | b'/' | 0x7f => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            other => out.push(*other),
        }
    }
    // A name may be neither of these.
    match out.as_slice() {
        b"." => b"%2E".to_vec(),
        b".." => b"%2E%2E".to_vec(),
        _ => out,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_come_and_go() {
        let manifest = Locator::of(b"manifest");
        let stored = State::new(manifest.clone(), None, None);
        assert_eq!(stored.to_text(), format!("1 {manifest}").into_bytes());
        assert!(stored.has(None) && !stored.has(Some(b"a")));
        assert_eq!(stored.without(None), b"");

        let first = State::new(manifest.clone(), None, Some(b"dir/a b"));
        let both = State::new(manifest.clone(), Some(first.clone()), Some(b"c"));
        assert_eq!(both.to_text(), format!("1 {manifest} c dir%2Fa%20b").into_bytes());
        assert_eq!(both.clone().without(Some(b"c")), first.to_text());
        assert_eq!(first.without(Some(b"dir/a b")), b"");
        let renamed = both.renamed(Some(b"c"), Some(b"d"));
        assert!(renamed.has(Some(b"d")) && renamed.has(Some(b"dir/a b")) && !renamed.has(Some(b"c")));
    }

    #[test]
    fn other_forms_are_not_understood() {
        let manifest = Locator::of(b"manifest");
        for text in [format!("2 {manifest}"), "1".into(), "1 x".into(), format!("1 {manifest} "), manifest.to_string()]
        {
            assert_eq!(State::parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(paths in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..9), 0..4)) {
            let state = paths.iter().fold(None, |known, path| Some(State::new(Locator::of(b"m"), known, Some(path))));
            let state = state.unwrap_or_else(|| State::new(Locator::of(b"m"), None, None));
            prop_assert_eq!(State::parse(&state.to_text()), Some(state));
        }

        #[test]
        fn anything_can_be_parsed(text in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(state) = State::parse(&text) {
                prop_assert_eq!(State::parse(&state.to_text()), Some(state));
            }
        }
    }
}
