//! `maxsize.log`: how much repositories may hold. Source: `docs/spec/git-annex-branch.md` §5.

use super::field::{Layout, Record};
use super::lines::decimal;
use crate::uuid::Uuid;

/// The most bytes that a repository should hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MaxSize(pub u64);

impl Record for MaxSize {
    const LAYOUT: Layout = Layout::ClockFirst;
    type Field = Uuid;

    /// Takes the leading digits, as git-annex does (`1kb` reads as 1); a negative size holds as little as none.
    fn parse(text: &[u8]) -> Option<Self> {
        let (negative, digits) = text.strip_prefix(b"-").map_or((false, text), |digits| (true, digits));
        let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
        let size = decimal(digits.get(..end)?)?;
        Some(Self(if negative { 0 } else { size }))
    }

    fn write(&self) -> Vec<u8> {
        self.0.to_string().into_bytes()
    }
}
