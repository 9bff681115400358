//! The terms of expressions. Source: `docs/spec/preferred-content.md` §5 and §7.

use super::error::SyntaxError;
use super::glob::Glob;
use super::number::{float, integer, size};
use crate::log::Trust;

/// One word of an expression that can be true or false.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    word: Vec<u8>,
    pub(super) test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    Anything,
    Nothing,
    Present,
    InPreferredDir,
    SecureHash,
    Unused,
    Standard,
    GroupWanted,
    Include(Glob),
    Exclude(Glob),
    LargerThan(i128),
    SmallerThan(i128),
    Copies(CopiesIn, i64),
    LackingCopies(i64),
    InBackend(Vec<u8>),
    InAllGroup(Vec<u8>),
    OnlyInGroup(Vec<u8>),
    /// The field in lower case.
    Metadata(Vec<u8>, MetadataTest),
    Url(Glob),
    Balanced(Balanced),
}

/// Which copies count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CopiesIn {
    Anywhere,
    Level(Trust),
    AtLeast(Trust),
    Group(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MetadataTest {
    Matches(Glob),
    Less(Vec<u8>),
    LessOrEqual(Vec<u8>),
    Greater(Vec<u8>),
    GreaterOrEqual(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Balanced {
    /// Not to move a key that is stored already: `balanced`, `sizebalanced`.
    pub(super) lazy: bool,
    /// By free space instead of by hash: `sizebalanced`, `fullysizebalanced`.
    pub(super) by_size: bool,
    pub(super) group: Vec<u8>,
    pub(super) copies: BalancedCopies,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BalancedCopies {
    Number(i64),
    Lacking,
}

impl Term {
    pub(super) fn parse(word: &[u8]) -> Result<Self, SyntaxError> {
        let unknown = || SyntaxError::UnknownTerm(word.to_vec());
        let test = match simple(word) {
            Some(test) => test,
            None => {
                let equals = word.iter().position(|byte| *byte == b'=').unwrap_or(word.len());
                let (name, value) = word.split_at(equals);
                let bad_value = || SyntaxError::BadValue(word.to_vec());
                with_value(name, value.get(1..).unwrap_or_default()).ok_or_else(unknown)?.ok_or_else(bad_value)?
            }
        };
        Ok(Self { word: word.to_vec(), test })
    }

    /// Returns the text of the term.
    pub(super) fn word(&self) -> &[u8] {
        &self.word
    }
}

impl MetadataTest {
    /// Tells whether a value of the field passes.
    pub(super) fn passes(&self, value: &[u8]) -> bool {
        match self {
            Self::Matches(glob) => glob.matches(value),
            Self::Less(bound) => compares(value, bound, |a, b| a < b, |a, b| a < b),
            Self::LessOrEqual(bound) => compares(value, bound, |a, b| a <= b, |a, b| a <= b),
            Self::Greater(bound) => compares(value, bound, |a, b| a > b, |a, b| a > b),
            Self::GreaterOrEqual(bound) => compares(value, bound, |a, b| a >= b, |a, b| a >= b),
        }
    }
}

/// Compares as numbers, if both are, else bytewise.
fn compares(value: &[u8], bound: &[u8], numbers: fn(f64, f64) -> bool, texts: fn(&[u8], &[u8]) -> bool) -> bool {
    match (float(value), float(bound)) {
        (Some(value), Some(bound)) => numbers(value, bound),
        _ => texts(value, bound),
    }
}

fn simple(word: &[u8]) -> Option<Test> {
    Some(match word {
        b"anything" => Test::Anything,
        b"nothing" => Test::Nothing,
        b"present" => Test::Present,
        b"inpreferreddir" => Test::InPreferredDir,
        b"securehash" => Test::SecureHash,
        b"unused" => Test::Unused,
        b"standard" => Test::Standard,
        b"groupwanted" => Test::GroupWanted,
        _ => return None,
    })
}

/// `None` for an unknown name; `Some(None)` for a value that cannot be read.
fn with_value(name: &[u8], value: &[u8]) -> Option<Option<Test>> {
    Some(match name {
        b"include" => Some(Test::Include(Glob::for_files(value))),
        b"exclude" => Some(Test::Exclude(Glob::for_files(value))),
        b"largerthan" => size(value).map(Test::LargerThan),
        b"smallerthan" => size(value).map(Test::SmallerThan),
        b"copies" => copies(value),
        b"lackingcopies" | b"approxlackingcopies" => integer(value).map(Test::LackingCopies),
        b"inbackend" => Some(Test::InBackend(value.to_vec())),
        b"inallgroup" => Some(Test::InAllGroup(value.to_vec())),
        b"onlyingroup" => Some(Test::OnlyInGroup(value.to_vec())),
        b"metadata" => metadata(value),
        b"url" => Some(Test::Url(Glob::for_text(value, false))),
        b"balanced" => balanced(value, true, false),
        b"fullybalanced" => balanced(value, false, false),
        b"sizebalanced" => balanced(value, true, true),
        b"fullysizebalanced" => balanced(value, false, true),
        _ => return None,
    })
}

fn copies(value: &[u8]) -> Option<Test> {
    let parts: Vec<&[u8]> = value.split(|byte| *byte == b':').collect();
    match parts.as_slice() {
        [number] => Some(Test::Copies(CopiesIn::Anywhere, integer(number)?)),
        [place, number] => {
            let at_least = place.strip_suffix(b"+").and_then(Trust::from_name).map(CopiesIn::AtLeast);
            let level = || Trust::from_name(place).map(CopiesIn::Level);
            let place = at_least.or_else(level).unwrap_or_else(|| CopiesIn::Group(place.to_vec()));
            Some(Test::Copies(place, integer(number)?))
        }
        _ => None,
    }
}

fn metadata(value: &[u8]) -> Option<Test> {
    let end = value.iter().position(|byte| b"<=>".contains(byte)).unwrap_or(value.len());
    let (field, test) = value.split_at(end);
    let name = String::from_utf8_lossy(field);
    let legal = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    if !name.starts_with(char::is_alphanumeric) || !name.chars().all(legal) {
        return None;
    }
    let test = match test {
        [b'<', b'=', bound @ ..] => MetadataTest::LessOrEqual(bound.to_vec()),
        [b'<', bound @ ..] => MetadataTest::Less(bound.to_vec()),
        [b'>', b'=', bound @ ..] => MetadataTest::GreaterOrEqual(bound.to_vec()),
        [b'>', bound @ ..] => MetadataTest::Greater(bound.to_vec()),
        test => MetadataTest::Matches(Glob::for_text(test.strip_prefix(b"=").unwrap_or_default(), true)),
    };
    Some(Test::Metadata(field.to_ascii_lowercase(), test))
}

fn balanced(value: &[u8], lazy: bool, by_size: bool) -> Option<Test> {
    let parts: Vec<&[u8]> = value.split(|byte| *byte == b':').collect();
    let (group, copies) = match parts.as_slice() {
        [group] => (group, BalancedCopies::Number(1)),
        [group, b"lackingcopies"] => (group, BalancedCopies::Lacking),
        [group, number] => (group, BalancedCopies::Number(integer(number)?)),
        _ => return None,
    };
    Some(Test::Balanced(Balanced { lazy, by_size, group: group.to_vec(), copies }))
}
