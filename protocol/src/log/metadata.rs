//! `aaa/bbb/KEY.log.met` and `.rmet`: metadata of keys. Source: `docs/spec/git-annex-branch.md` §5.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::clock::Clock;
use super::lines::{lines, push_line, word, words};

/// The current metadata of a key: values by field name. Names are in lower case, as they compare without case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata(pub BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>);

/// A metadata log: for each field and value the sign with the newest clock counts, so every line matters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetadataLog {
    lines: Vec<(Clock, Vec<u8>)>,
    unparsed: Vec<Vec<u8>>,
}

impl Metadata {
    /// Returns the values of a field, whatever the case of its name.
    pub fn values(&self, field: &[u8]) -> impl Iterator<Item = &[u8]> {
        self.0.get(&field.to_ascii_lowercase()).into_iter().flatten().map(Vec::as_slice)
    }
}

impl MetadataLog {
    /// Reads a file's content; lines without a clock are set aside for [`Self::write`].
    pub fn parse(content: &[u8]) -> Self {
        let mut log = Self::default();
        for line in lines(content) {
            match word(line).and_then(|(clock, rest)| Some((Clock::parse(clock)?, rest.to_vec()))) {
                Some(parsed) => log.lines.push(parsed),
                None => log.unparsed.push(line.to_vec()),
            }
        }
        log.lines.sort();
        log
    }

    /// Returns the metadata as it is now.
    pub fn current(&self) -> Metadata {
        let mut fields: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>> = BTreeMap::new();
        for (_, text) in &self.lines {
            let mut field = None;
            for word in words(text) {
                match (word.split_first(), &field) {
                    (Some((b'+', value)), Some(field)) => {
                        fields.entry(Vec::clone(field)).or_default().extend(decode(value));
                    }
                    (Some((b'-', value)), Some(field)) => {
                        if let (Some(values), Some(value)) = (fields.get_mut(field), decode(value)) {
                            values.remove(&value);
                        }
                    }
                    (Some((b'+' | b'-', _)), None) => {}
                    _ => field = Some(word.to_ascii_lowercase()),
                }
            }
        }
        fields.retain(|_, values| !values.is_empty());
        Metadata(fields)
    }

    /// Sets values of a field and unsets others; false, and nothing changed, when the metadata is so already.
    ///
    /// `field` must be legal: a letter or digit, then letters, digits, `_`, `-`, `.` (`:` after a UUID in `.rmet`).
    pub fn change(&mut self, field: &[u8], set: &[&[u8]], unset: &[&[u8]], now: Clock) -> bool {
        let current = self.current();
        let old: BTreeSet<&[u8]> = current.values(field).collect();
        let set = set.iter().filter(|value| !old.contains(*value)).map(|value| (b'+', *value));
        let unset = unset.iter().filter(|value| old.contains(*value)).map(|value| (b'-', *value));
        let mut line = field.to_vec();
        for (sign, value) in set.chain(unset) {
            line.extend_from_slice(&[b' ', sign]);
            line.extend_from_slice(&encode(value));
        }
        if line.len() == field.len() {
            return false;
        }
        let newest = self.lines.last().map(|(clock, _)| *clock);
        self.lines.push((Clock::next(now, newest), line));
        true
    }

    /// Returns the file's new content: all lines by clock, then the lines that could not be parsed.
    ///
    /// Nothing is compacted: a line from elsewhere with a clock in between must still take effect.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (clock, text) in &self.lines {
            push_line(&mut out, &[clock.to_string().as_bytes(), b" ", text]);
        }
        self.unparsed.iter().for_each(|line| push_line(&mut out, &[line]));
        out
    }
}

/// `None` for base64 that is none; git-annex skips such values.
fn decode(value: &[u8]) -> Option<Vec<u8>> {
    match value.strip_prefix(b"!") {
        Some(encoded) => STANDARD.decode(encoded).ok(),
        None => Some(value.to_vec()),
    }
}

fn encode(value: &[u8]) -> Vec<u8> {
    if value.starts_with(b"!") || value.iter().any(|byte| b" \r\n".contains(byte)) {
        format!("!{}", STANDARD.encode(value)).into_bytes()
    } else {
        value.to_vec()
    }
}
