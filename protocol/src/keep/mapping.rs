//! Lines of a gateway volume's index: where in an existing object a block is found.

use nom::Parser;
use nom::bytes::complete::tag;
use nom::sequence::terminated;

use super::MAX_BLOCK;
use super::locator::digits;
use crate::hex;

/// A block as a range of an object: `[@ATTRS ]OFFSET:LENGTH:PATH`.
///
/// Source: `docs/spec/keep-gateway-volume.md` §2; vectors `keep-gateway-index.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// What is known about the object, unknown attributes included, in order; values unescaped.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the block begins in the object, in bytes.
    pub offset: u64,
    /// The block's length: 1 to 64 MiB.
    pub length: u64,
    /// The object, relative to the volume's root: no leading `/`, no `..`.
    pub path: Vec<u8>,
}

/// A line of the index cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bad line in a gateway volume's index")]
pub struct MappingError;

impl Mapping {
    /// Parses one line, without its line feed.
    pub fn parse(line: &[u8]) -> Result<Self, MappingError> {
        parse(line).ok_or(MappingError)
    }

    /// Writes the line, without a line feed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (index, (name, value)) in self.attributes.iter().enumerate() {
            out.push(if index == 0 { b'@' } else { b',' });
            out.extend_from_slice(name);
            out.push(b'=');
            escape_value(value, &mut out);
        }
        if !self.attributes.is_empty() {
            out.push(b' ');
        }
        out.extend_from_slice(format!("{}:{}:", self.offset, self.length).as_bytes());
        for byte in &self.path {
            match byte {
                b'\n' | b'\r' | b'\0' | b'\\' => out.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
                other => out.push(*other),
            }
        }
        out
    }
}

fn parse(line: &[u8]) -> Option<Mapping> {
    let (attributes, rest) = match line.strip_prefix(b"@") {
        None => (Vec::new(), line),
        Some(line) => {
            let space = line.iter().position(|byte| *byte == b' ')?;
            let (attributes, rest) = line.split_at(space);
            let attributes = attributes.split(|byte| *byte == b',').map(attribute).collect::<Option<_>>()?;
            (attributes, rest.strip_prefix(b" ")?)
        }
    };
    let mut number = terminated(digits, tag(":"));
    let (rest, offset) = number.parse(rest).ok()?;
    let (rest, length) = number.parse(rest).ok()?;
    let value = |digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok();
    let (offset, length, path) = (value(offset)?, value(length)?, unescape_path(rest)?);
    let good_length = (1..=MAX_BLOCK as u64).contains(&length);
    let good_path = !path.is_empty() && !path.starts_with(b"/") && path.split(|b| *b == b'/').all(|part| part != b"..");
    (good_length && good_path).then_some(Mapping { attributes, offset, length, path })
}

fn attribute(text: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let equals = text.iter().position(|byte| *byte == b'=')?;
    let (name, value) = text.split_at(equals);
    if name.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value.get(1..)?;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'%' {
            let (digits, after) = after.split_at_checked(2)?;
            out.extend(hex::decode::<1>(digits)?);
            rest = after;
        } else {
            out.push(*byte);
        }
    }
    Some((name.to_vec(), out))
}

fn escape_value(value: &[u8], out: &mut Vec<u8>) {
    for byte in value {
        if byte.is_ascii_graphic() && !matches!(byte, b'%' | b',' | b'"') {
            out.push(*byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
}

fn unescape_path(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'\\' {
            let (digits, after) = after.split_at_checked(3)?;
            out.push(match digits {
                b"012" => b'\n',
                b"015" => b'\r',
                b"000" => b'\0',
                b"134" => b'\\',
                _ => return None,
            });
            rest = after;
        } else {
            out.push(*byte);
        }
    }
    Some(out)
}
