//! What the API server checks of a manifest: tokens, names, escapes. Not sizes and not ranges.

use nom::Parser;
use nom::bytes::complete::tag;
use nom::sequence::terminated;

use super::ManifestError;
use crate::keep::is_loose_locator;
use crate::keep::locator_digits as digits;

/// What is wrong with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The last line has no line feed.
    #[error("the manifest does not end with a line feed")]
    NoFinalLineFeed,
    /// An empty line, or a space too many.
    #[error("there is an empty line or a space too many")]
    EmptyToken,
    /// A byte below 0x20.
    #[error("there is a control byte")]
    ControlByte,
    /// A backslash without three octal digits up to 377.
    #[error("there is a bad escape")]
    BadEscape,
    /// Not `.` or `./…`, or an empty component, `.` or `..` in it.
    #[error("bad stream name")]
    StreamName,
    /// The stream has no block.
    #[error("there is no block")]
    NoBlock,
    /// The stream has no file.
    #[error("there is no file")]
    NoFile,
    /// Where a segment should stand is something else.
    #[error("there is a token that is neither block nor file segment, or a block behind a file segment")]
    BadToken,
    /// An empty component, `.` or `..` in a file name, or a slash at one of its ends.
    #[error("bad file name")]
    FileName,
    /// A locator that no client can read: no size, upper-case hash, or more than 64 MiB.
    #[error("there is an unreadable block locator")]
    Locator,
    /// A segment reaches beyond the stream's blocks.
    #[error("a file segment lies outside the stream")]
    OutOfRange,
    /// A number does not fit 64 bits.
    #[error("a position or a size is too large")]
    TooLarge,
    /// One path is both a file and a directory.
    #[error("a path is both a file and a directory")]
    FileAndDirectory,
}

/// Checks a manifest as the API server does: what passes is well formed, yet may be unreadable.
///
/// Locators without size and segments beyond the data pass here; [`Manifest::parse`](super::Manifest::parse) refuses
/// them.
pub fn validate(text: &[u8]) -> Result<(), ManifestError> {
    for (index, line) in lines(text)?.enumerate() {
        Line::parse(line).map_err(|reason| ManifestError { stream: index + 1, reason })?;
    }
    Ok(())
}

/// Cuts a manifest into lines without their line feeds.
pub(super) fn lines(text: &[u8]) -> Result<impl Iterator<Item = &[u8]>, ManifestError> {
    let body = match text.split_last() {
        None => None,
        Some((b'\n', body)) => Some(body),
        Some(_) => {
            let stream = text.split(|byte| *byte == b'\n').count();
            return Err(ManifestError { stream, reason: Reason::NoFinalLineFeed });
        }
    };
    Ok(body.into_iter().flat_map(|body| body.split(|byte| *byte == b'\n')))
}

/// One line, well formed; names unescaped.
pub(super) struct Line<'a> {
    pub(super) name: Vec<u8>,
    pub(super) locators: Vec<&'a [u8]>,
    pub(super) segments: Vec<RawSegment<'a>>,
}

/// A segment whose numbers are still digits.
pub(super) struct RawSegment<'a> {
    pub(super) position: &'a [u8],
    pub(super) size: &'a [u8],
    pub(super) name: Vec<u8>,
}

impl<'a> Line<'a> {
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, Reason> {
        if line.iter().any(|byte| *byte < b' ') {
            return Err(Reason::ControlByte);
        }
        let mut tokens = line.split(|byte| *byte == b' ').peekable();
        let name = unescape(tokens.next().filter(|token| !token.is_empty()).ok_or(Reason::EmptyToken)?)?;
        check_stream_name(&name)?;
        let mut locators = Vec::new();
        while let Some(locator) = tokens.next_if(|token| is_loose_locator(token)) {
            locators.push(locator);
        }
        let segments = tokens.map(RawSegment::parse).collect::<Result<Vec<_>, _>>()?;
        match (locators.is_empty(), segments.is_empty()) {
            (true, _) => Err(Reason::NoBlock),
            (false, true) => Err(Reason::NoFile),
            (false, false) => Ok(Self { name, locators, segments }),
        }
    }
}

impl<'a> RawSegment<'a> {
    fn parse(token: &'a [u8]) -> Result<Self, Reason> {
        if token.is_empty() {
            return Err(Reason::EmptyToken);
        }
        let mut number = terminated(digits, tag(":"));
        let (rest, position) = number.parse(token).map_err(|_| Reason::BadToken)?;
        let (rest, size) = number.parse(rest).map_err(|_| Reason::BadToken)?;
        let name = unescape(rest)?;
        check_file_name(&name, size.iter().chain(position).all(|digit| *digit == b'0'))?;
        Ok(Self { position, size, name })
    }
}

/// Checks an unescaped stream name.
pub(super) fn check_stream_name(name: &[u8]) -> Result<(), Reason> {
    let mut components = name.split(|byte| *byte == b'/');
    if components.next() == Some(b".") && components.all(is_component) { Ok(()) } else { Err(Reason::StreamName) }
}

/// Checks an unescaped file name; `.` marks an empty directory and needs position and size 0.
pub(super) fn check_file_name(name: &[u8], zero: bool) -> Result<(), Reason> {
    let is_marker = zero && name == b".";
    if is_marker || name.split(|byte| *byte == b'/').all(is_component) { Ok(()) } else { Err(Reason::FileName) }
}

fn is_component(component: &[u8]) -> bool {
    !matches!(component, b"" | b"." | b"..")
}

/// Undoes escapes, bytewise.
fn unescape(text: &[u8]) -> Result<Vec<u8>, Reason> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        let (digits, after) = after.split_at_checked(3).ok_or(Reason::BadEscape)?;
        if !digits.iter().all(|digit| matches!(digit, b'0'..=b'7')) {
            return Err(Reason::BadEscape);
        }
        let value = digits.iter().fold(0u16, |value, digit| value << 3 | u16::from(digit - b'0'));
        out.push(u8::try_from(value).map_err(|_| Reason::BadEscape)?);
        rest = after;
    }
    Ok(out)
}

/// Writes a name so that it is one token: control bytes, space, `:` and `\` become octal escapes.
pub(super) fn escape(name: &[u8], out: &mut Vec<u8>) {
    for byte in name {
        match byte {
            0..=b' ' | b':' | b'\\' => out.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
            other => out.push(*other),
        }
    }
}
