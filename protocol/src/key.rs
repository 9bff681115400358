//! git-annex keys, their file names and their hash directories.
//!
//! Source: `docs/spec/git-annex-branch.md` §1 and §2; vectors `keys.json`, `encrypted-keys.json`.

mod encrypted;

use std::fmt;
use std::sync::Arc;

use md5::{Digest, Md5};
use nom::bytes::complete::{tag, take_till1, take_while1};
use nom::combinator::opt;
use nom::sequence::preceded;
use nom::{IResult, Parser};

pub use self::encrypted::Mac;

/// The name of one annexed content: backend, size and hash (or another name).
///
/// Always held in canonical form: a key that was read with leading zeros compares equal to the one without.
/// Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<Parts>);

#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Parts {
    serialized: Box<[u8]>,
    /// The serialized key without its chunk fields; `None` when it has none.
    parent: Option<Box<[u8]>>,
    backend_len: usize,
    name_start: usize,
    size: Option<Number>,
    chunk: Option<(Number, Number)>,
}

/// A decimal number of any length; git-annex sets no upper bound.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Number(Box<[u8]>);

/// Backends whose name part may end in a file extension of any length.
const NO_EXTENSION_LIMIT: [&[u8]; 5] = [b"WORM", b"URL", b"VURL", b"GITBUNDLE", b"GITMANIFEST"];

/// The longest extension (first `.` included) of a backend that ends in `E`.
const MAX_EXTENSION: usize = 64;

/// Why bytes are no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The fields do not follow `BACKEND[-sN][-mN][-SN][-CN]--NAME`.
    #[error("not a git-annex key")]
    Malformed,
    /// A line feed can stand in no key.
    #[error("a key cannot hold a line feed")]
    LineFeed,
    /// The extension of an `E` backend is longer than 64 bytes.
    #[error("the key's file extension is too long")]
    ExtensionTooLong,
}

impl Key {
    /// Parses a serialized key; all of `text` must belong to it.
    pub fn parse(text: &[u8]) -> Result<Self, KeyError> {
        if text.contains(&b'\n') {
            return Err(KeyError::LineFeed);
        }
        let (name, fields) = fields(text).map_err(|_| KeyError::Malformed)?;
        let backend = fields.backend;
        if backend.ends_with(b"E") && !NO_EXTENSION_LIMIT.contains(&backend) {
            let extension = name.iter().position(|b| *b == b'.').map_or(0, |dot| name.len() - dot);
            if extension > MAX_EXTENSION {
                return Err(KeyError::ExtensionTooLong);
            }
        }
        Ok(Self::assemble(&fields, name))
    }

    fn assemble(fields: &Fields<'_>, name: &[u8]) -> Self {
        let Fields { backend, size, mtime, chunk_size, chunk_number } = fields;
        let head = |chunks: bool| {
            let mut out = backend.to_vec();
            let chunk_fields = [(b"-S", chunk_size), (b"-C", chunk_number)];
            let plain_fields = [(b"-s", size), (b"-m", mtime)];
            for (letter, number) in plain_fields.into_iter().chain(chunk_fields.into_iter().filter(|_| chunks)) {
                if let Some(number) = number {
                    out.extend_from_slice(letter);
                    out.extend_from_slice(&number.0);
                }
            }
            out.extend_from_slice(b"--");
            out
        };
        let mut serialized = head(true);
        let name_start = serialized.len();
        serialized.extend_from_slice(name);
        let has_chunk_fields = chunk_size.is_some() || chunk_number.is_some();
        let parent = has_chunk_fields.then(|| [&head(false), name].concat().into());
        let backend_len = backend.len();
        let chunk = chunk_size.clone().zip(chunk_number.clone());
        let serialized = serialized.into();
        let size = size.clone();
        Self(Arc::new(Parts { serialized, parent, backend_len, name_start, size, chunk }))
    }

    /// Returns the serialized key in canonical form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.serialized
    }

    /// Returns the backend, for example `SHA256E`.
    pub fn backend(&self) -> &[u8] {
        self.0.serialized.get(..self.0.backend_len).unwrap_or_default()
    }

    /// Returns what stands after `--`: usually a hash, perhaps with a file extension.
    pub fn name(&self) -> &[u8] {
        self.0.serialized.get(self.0.name_start..).unwrap_or_default()
    }

    /// Returns the size of the whole object in bytes, if the key tells it and it fits 64 bits.
    pub fn size(&self) -> Option<u64> {
        self.0.size.as_ref().and_then(Number::value)
    }

    /// Returns chunk size in bytes and chunk number (from 1) of a chunk key.
    pub fn chunk(&self) -> Option<(u64, u64)> {
        let (size, number) = self.0.chunk.as_ref()?;
        Some((size.value()?, number.value()?))
    }

    /// Returns the key of chunk `number` (from 1) of this key's object, cut into chunks of `size` bytes.
    pub fn with_chunk(&self, size: u64, number: u64) -> Self {
        let Ok((name, fields)) = fields(self.parent_bytes()) else { return self.clone() };
        let (chunk_size, chunk_number) = (Some(Number::from(size)), Some(Number::from(number)));
        Self::assemble(&Fields { chunk_size, chunk_number, ..fields }, name)
    }

    /// Returns the number of content bytes that this key names: of the chunk for a chunk key, else of the object.
    pub fn content_size(&self) -> Option<u64> {
        let size = self.size()?;
        match self.chunk() {
            None => Some(size),
            Some((chunk_size, number)) => {
                let start = chunk_size.checked_mul(number.checked_sub(1)?)?;
                Some(size.checked_sub(start)?.min(chunk_size))
            }
        }
    }

    /// Returns the serialized key without chunk fields: what the hash directories are made from.
    pub fn parent_bytes(&self) -> &[u8] {
        self.0.parent.as_deref().unwrap_or(&self.0.serialized)
    }

    /// Returns the key as a file name: `&`, `%`, `:` escaped, `/` written as `%`.
    pub fn file_name(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.as_bytes().len());
        for byte in self.as_bytes() {
            match byte {
                b'&' => out.extend_from_slice(b"&a"),
                b'%' => out.extend_from_slice(b"&s"),
                b':' => out.extend_from_slice(b"&c"),
                b'/' => out.push(b'%'),
                other => out.push(*other),
            }
        }
        out
    }

    /// Parses a key written as a file name.
    pub fn from_file_name(name: &[u8]) -> Result<Self, KeyError> {
        let mut out = Vec::with_capacity(name.len());
        let mut bytes = name.iter();
        while let Some(byte) = bytes.next() {
            out.push(match byte {
                b'%' => b'/',
                b'&' => match bytes.next() {
                    Some(b'a') => b'&',
                    Some(b's') => b'%',
                    Some(b'c') => b':',
                    Some(other) => *other,
                    None => break,
                },
                other => *other,
            });
        }
        Self::parse(&out)
    }

    /// Returns the lower-case hash directory, `d91/b11/`: used in the git-annex branch and in bare repositories.
    pub fn hash_dir_lower(&self) -> String {
        let digest = Md5::digest(self.parent_bytes());
        let hex: String = digest.iter().take(3).map(|b| format!("{b:02x}")).collect();
        let (first, second) = hex.split_at(3);
        format!("{first}/{second}/")
    }

    /// Returns the mixed-case hash directory, `mK/4w/`: used in repositories with a work tree.
    pub fn hash_dir_mixed(&self) -> String {
        const ALPHABET: &[u8; 32] = b"0123456789zqjxkmvwgpfZQJXKMVWGPF";
        let digest = Md5::digest(self.parent_bytes());
        let word = digest.iter().take(4).rev().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        // Six bits apart but five bits wide, then neighbours swapped: git-annex's historical encoding.
        let letter = |x: u32| char::from(ALPHABET.get((word >> (6 * x) & 31) as usize).copied().unwrap_or(b'0'));
        format!("{}{}/{}{}/", letter(1), letter(0), letter(3), letter(2))
    }

    /// Returns the path of a per-key file in the git-annex branch: hash directories, file name and `suffix` (`.log`).
    pub fn branch_path(&self, suffix: &str) -> Vec<u8> {
        let mut path = self.hash_dir_lower().into_bytes();
        path.extend_from_slice(&self.file_name());
        path.extend_from_slice(suffix.as_bytes());
        path
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self(value.to_string().into_bytes().into())
    }
}

impl Number {
    fn value(&self) -> Option<u64> {
        std::str::from_utf8(&self.0).ok()?.parse().ok()
    }
}

struct Fields<'a> {
    backend: &'a [u8],
    size: Option<Number>,
    mtime: Option<Number>,
    chunk_size: Option<Number>,
    chunk_number: Option<Number>,
}

fn fields(input: &[u8]) -> IResult<&[u8], Fields<'_>> {
    let (rest, backend) = take_till1(|b| b == b'-').parse(input)?;
    let (rest, (size, mtime, chunk_size, chunk_number)) =
        (opt(field(b"-s")), opt(field(b"-m")), opt(field(b"-S")), opt(field(b"-C"))).parse(rest)?;
    let (rest, _) = tag(&b"--"[..]).parse(rest)?;
    Ok((rest, Fields { backend, size, mtime, chunk_size, chunk_number }))
}

fn field<'a>(letter: &'static [u8]) -> impl Parser<&'a [u8], Output = Number, Error = nom::error::Error<&'a [u8]>> {
    preceded(tag(letter), take_while1(|b: u8| b.is_ascii_digit())).map(|digits: &[u8]| {
        let zeros = digits.iter().take_while(|b| **b == b'0').count().min(digits.len() - 1);
        Number(digits.get(zeros..).unwrap_or_default().into())
    })
}
