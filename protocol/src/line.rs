//! What the line protocols of git-annex share: fields end at a single white-space character, the last takes the rest.

use nom::bytes::complete::{take, take_till};
use nom::combinator::opt;
use nom::sequence::terminated;
use nom::{IResult, Parser};

/// Tells whether a byte separates fields.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Takes what stands before the next white-space character, and swallows that.
pub(crate) fn field(input: &[u8]) -> IResult<&[u8], &[u8]> {
    terminated(take_till(is_space), opt(take(1usize))).parse(input)
}

/// Splits at runs of white space.
pub(crate) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| is_space(*byte)).filter(|word| !word.is_empty())
}

/// Reads a number of decimal digits only.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    // `parse` alone would take a plus sign.
    let digits = text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}
