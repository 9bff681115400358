//! Logs that map a field to its newest value. Source: `docs/spec/git-annex-branch.md` §5, formats O, N and M.

use std::collections::BTreeMap;

use super::clock::Clock;
use super::lines::{lines, one_line, push_line, word};
use crate::uuid::Uuid;

/// How a line is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `field value timestamp=TS`; the clock may be missing in old lines.
    ClockLast,
    /// `TS field value`.
    ClockFirst,
}

/// What a log maps from: a UUID, a group, a chunk size of a repository, ...
pub trait LogField: Ord + Clone + std::fmt::Debug {
    /// Returns the field spelled by a word that is not empty and holds no space.
    fn parse(word: &[u8]) -> Option<Self>;
    /// Returns the word.
    fn write(&self) -> Vec<u8>;
}

/// A value in a log of the git-annex branch; its type tells which log.
pub trait Record: Sized {
    /// How this log's lines are laid out.
    const LAYOUT: Layout;
    /// What this log maps from.
    type Field: LogField;
    /// Returns the value spelled by `text`; `None` makes the line one that cannot be parsed.
    fn parse(text: &[u8]) -> Option<Self>;
    /// Returns the value as it is written.
    fn write(&self) -> Vec<u8>;
}

/// A log that maps fields to values: for each field the newest line; of equally new ones the last in the file.
///
/// Values that are not set anew are written back byte for byte, even where [`Record`] would write them otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldLog<R: Record> {
    newest: BTreeMap<R::Field, Entry<R>>,
    unparsed: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry<R> {
    clock: Option<Clock>,
    text: Vec<u8>,
    value: R,
}

impl<R: Record> Default for FieldLog<R> {
    fn default() -> Self {
        Self { newest: BTreeMap::new(), unparsed: Vec::new() }
    }
}

impl<R: Record> FieldLog<R> {
    /// Reads a file's content; lines that are not of this log are set aside for [`Self::write`].
    pub fn parse(content: &[u8]) -> Self {
        let mut log = Self::default();
        for line in lines(content) {
            match parse_line::<R>(line) {
                None => log.unparsed.push(line.to_vec()),
                // An unknown clock is older than any.
                Some((field, entry)) if log.newest.get(&field).is_none_or(|old| entry.clock >= old.clock) => {
                    log.newest.insert(field, entry);
                }
                Some(_) => {}
            }
        }
        log
    }

    /// Returns the newest value of a field.
    pub fn value(&self, field: &R::Field) -> Option<&R> {
        self.newest.get(field).map(|entry| &entry.value)
    }

    /// Returns when the newest value of a field was written; `None` also if its line has no clock.
    pub fn clock(&self, field: &R::Field) -> Option<Clock> {
        self.newest.get(field).and_then(|entry| entry.clock)
    }

    /// Returns the fields and their newest values, sorted by field.
    pub fn iter(&self) -> impl Iterator<Item = (&R::Field, &R)> {
        self.newest.iter().map(|(field, entry)| (field, &entry.value))
    }

    /// Records a value; false, and nothing changed, when the newest line says the same.
    ///
    /// A line end inside the value is written as a space.
    pub fn set(&mut self, field: R::Field, value: R, now: Clock) -> bool {
        let text = one_line(value.write());
        let old = self.newest.get(&field);
        if old.is_some_and(|old| old.text == text) {
            return false;
        }
        let clock = Some(Clock::next(now, old.and_then(|old| old.clock)));
        self.newest.insert(field, Entry { clock, text, value });
        true
    }

    /// Returns the file's new content: one line a field, sorted, then the lines that could not be parsed.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (field, entry) in &self.newest {
            let field = field.write();
            let clock = entry.clock.map(|clock| clock.to_string());
            let clock = clock.as_deref().unwrap_or_default().as_bytes();
            match R::LAYOUT {
                Layout::ClockFirst => push_line(&mut out, &[clock, b" ", &field, b" ", &entry.text]),
                Layout::ClockLast if clock.is_empty() => push_line(&mut out, &[&field, b" ", &entry.text]),
                Layout::ClockLast => push_line(&mut out, &[&field, b" ", &entry.text, b" timestamp=", clock]),
            }
        }
        self.unparsed.iter().for_each(|line| push_line(&mut out, &[line]));
        out
    }
}

impl LogField for Uuid {
    fn parse(word: &[u8]) -> Option<Self> {
        Self::parse(word)
    }

    fn write(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

/// A name without spaces: a group, a setting.
impl LogField for Vec<u8> {
    fn parse(word: &[u8]) -> Option<Self> {
        Some(word.to_vec())
    }

    fn write(&self) -> Vec<u8> {
        self.clone()
    }
}

fn parse_line<R: Record>(line: &[u8]) -> Option<(R::Field, Entry<R>)> {
    let (field, clock, text) = match R::LAYOUT {
        Layout::ClockFirst => {
            let (clock, rest) = word(line)?;
            let (field, text) = word(rest)?;
            (field, Some(Clock::parse(clock)?), text)
        }
        Layout::ClockLast => {
            let (field, rest) = word(line).unwrap_or((line, b""));
            let (text, clock) = cut_timestamp(rest);
            (field, clock, text)
        }
    };
    Some((R::Field::parse(field)?, Entry { clock, text: text.to_vec(), value: R::parse(text)? }))
}

/// Splits the last word off if it is a timestamp.
fn cut_timestamp(text: &[u8]) -> (&[u8], Option<Clock>) {
    let space = text.iter().rposition(|byte| *byte == b' ');
    let (before, last) = match space {
        Some(space) => text.split_at(space),
        None => (&b""[..], text),
    };
    match last.trim_ascii_start().strip_prefix(b"timestamp=").and_then(Clock::parse) {
        Some(clock) => (before, Some(clock)),
        None => (text, None),
    }
}
