//! Parameters of messages.

use std::fmt;

use crate::key::{Key, KeyError};
use crate::line::{is_space, number, words};

/// A parameter: its form on the wire and back.
pub(super) trait Param: Sized {
    fn parse(field: &[u8]) -> Option<Self>;
    fn write_to(&self, out: &mut Vec<u8>);
}

/// A key as it stands on the wire, to be echoed byte for byte.
///
/// Holds no white space: the host refuses such keys before it sends anything.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WireKey(Box<[u8]>);

/// A parameter that another one follows: bytes without white space, perhaps none.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Word(Box<[u8]>);

/// The last parameter of a line: any bytes but a line feed.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Text(Box<[u8]>);

/// Which way a transfer goes, seen from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To the remote.
    Store,
    /// From the remote.
    Retrieve,
}

/// From where a remote can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Availability {
    /// Over the network.
    Global,
    /// On this machine.
    Local,
    /// Not now. Allowed only if the host offered that extension.
    Unavailable,
}

/// What using the remote costs: 100 cheap, 175 semi-expensive, 200 expensive (the default), 1000 very expensive.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Cost(f64);

/// One of several files behind a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UrlContent {
    /// Where it is.
    pub url: Word,
    /// Its size in bytes, if known.
    pub size: Option<u64>,
    /// What to call it; not empty.
    pub file: Word,
}

impl WireKey {
    /// Returns the key as it goes on the wire; `None` if it holds white space and cannot.
    pub fn new(key: &Key) -> Option<Self> {
        Self::parse(key.as_bytes())
    }

    /// Returns the bytes as they came.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Parses the key.
    pub fn key(&self) -> Result<Key, KeyError> {
        Key::parse(&self.0)
    }
}

impl Word {
    /// Returns the word spelled by `bytes`; `None` if they hold white space.
    pub fn new(bytes: impl AsRef<[u8]>) -> Option<Self> {
        Self::parse(bytes.as_ref())
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Text {
    /// Returns the text; `None` if it holds a line feed. For names, which must not change.
    pub fn new(bytes: impl AsRef<[u8]>) -> Option<Self> {
        Self::parse(bytes.as_ref())
    }

    /// Returns the text with a space for each line feed. For messages to people.
    pub fn of_message(bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref().iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte });
        Self(bytes.collect())
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Cost {
    /// Returns the cost; `None` if it is negative or no number.
    pub fn new(cost: f64) -> Option<Self> {
        (cost.is_finite() && cost.is_sign_positive()).then_some(Self(cost))
    }

    /// Returns the number.
    pub fn value(self) -> f64 {
        self.0
    }
}

impl Param for WireKey {
    fn parse(field: &[u8]) -> Option<Self> {
        Word::parse(field).filter(|word| !word.0.is_empty()).map(|word| Self(word.0))
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Param for Word {
    fn parse(field: &[u8]) -> Option<Self> {
        (!field.iter().copied().any(is_space)).then(|| Self(field.into()))
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Param for Text {
    fn parse(field: &[u8]) -> Option<Self> {
        (!field.contains(&b'\n')).then(|| Self(field.into()))
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Param for u64 {
    fn parse(field: &[u8]) -> Option<Self> {
        number(field)
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.to_string().as_bytes());
    }
}

/// A size, or `UNKNOWN`.
impl Param for Option<u64> {
    fn parse(field: &[u8]) -> Option<Self> {
        if field == b"UNKNOWN" { Some(None) } else { number(field).map(Some) }
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        match self {
            Some(size) => size.write_to(out),
            None => out.extend_from_slice(b"UNKNOWN"),
        }
    }
}

impl Param for Direction {
    fn parse(field: &[u8]) -> Option<Self> {
        match field {
            b"STORE" => Some(Self::Store),
            b"RETRIEVE" => Some(Self::Retrieve),
            _ => None,
        }
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self {
            Self::Store => b"STORE",
            Self::Retrieve => b"RETRIEVE",
        });
    }
}

impl Param for Availability {
    fn parse(field: &[u8]) -> Option<Self> {
        match field {
            b"GLOBAL" => Some(Self::Global),
            b"LOCAL" => Some(Self::Local),
            b"UNAVAILABLE" => Some(Self::Unavailable),
            _ => None,
        }
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self {
            Self::Global => b"GLOBAL",
            Self::Local => b"LOCAL",
            Self::Unavailable => b"UNAVAILABLE",
        });
    }
}

impl Param for Cost {
    fn parse(field: &[u8]) -> Option<Self> {
        // Digits and a point: no sign, exponent, infinity or NaN.
        let plain = field.first()?.is_ascii_digit() && field.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.'));
        std::str::from_utf8(field).ok().filter(|_| plain)?.parse().ok().and_then(Self::new)
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.to_string().as_bytes());
    }
}

impl Param for Vec<UrlContent> {
    fn parse(field: &[u8]) -> Option<Self> {
        let mut words = words(field);
        let mut contents = Self::new();
        while let Some(url) = words.next() {
            let size = Param::parse(words.next()?)?;
            contents.push(UrlContent { url: Word(url.into()), size, file: Word(words.next()?.into()) });
        }
        Some(contents)
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        for (index, UrlContent { url, size, file }) in self.iter().enumerate() {
            if index > 0 {
                out.push(b' ');
            }
            url.write_to(out);
            out.push(b' ');
            size.write_to(out);
            out.push(b' ');
            file.write_to(out);
        }
    }
}

impl fmt::Debug for WireKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WireKey({})", self.0.escape_ascii())
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Word({})", self.0.escape_ascii())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({})", self.0.escape_ascii())
    }
}
