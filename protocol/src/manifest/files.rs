//! Files of a manifest, by path.

use std::collections::btree_map::{self, BTreeMap};

use super::stream::{Extent, Stream};
use super::syntax::Reason;

/// All files and directories of a manifest.
#[derive(Debug, Clone)]
pub struct Files<'a> {
    pub(super) files: BTreeMap<Vec<u8>, File<'a>>,
    pub(super) directories: Vec<Vec<u8>>,
}

/// A file: ranges of streams, one after the other.
#[derive(Debug, Clone, Default)]
pub struct File<'a> {
    pieces: Vec<Piece<'a>>,
    size: u64,
}

#[derive(Debug, Clone, Copy)]
struct Piece<'a> {
    stream: &'a Stream,
    position: u64,
    size: u64,
}

impl<'a> Files<'a> {
    pub(super) fn of(streams: &'a [Stream]) -> Result<Self, Reason> {
        let mut files = BTreeMap::<_, File<'a>>::new();
        let mut directories = Vec::new();
        for stream in streams {
            for segment in stream.segments() {
                if segment.name == b"." {
                    directories.push(relative(stream.name()).to_vec());
                    continue;
                }
                let path = [stream.name(), &segment.name].join(&b'/');
                let file = files.entry(relative(&path).to_vec()).or_default();
                file.size = file.size.checked_add(segment.size).ok_or(Reason::TooLarge)?;
                file.pieces.push(Piece { stream, position: segment.position, size: segment.size });
            }
        }
        let is_file = |path: &[u8]| files.contains_key(path);
        if files.keys().any(|path| parents(path).any(is_file))
            || directories.iter().any(|path| is_file(path) || parents(path).any(is_file))
        {
            return Err(Reason::FileAndDirectory);
        }
        Ok(Self { files, directories })
    }

    /// Returns a file by its path (without `./`).
    pub fn get(&self, path: &[u8]) -> Option<&File<'a>> {
        self.files.get(path)
    }

    /// Returns paths and files, sorted by path.
    pub fn iter(&self) -> btree_map::Iter<'_, Vec<u8>, File<'a>> {
        self.files.iter()
    }

    /// Returns the directories that are marked as such (with a file `.`), without `./`; the root is empty.
    pub fn marked_directories(&self) -> impl Iterator<Item = &[u8]> {
        self.directories.iter().map(Vec::as_slice)
    }
}

impl<'a> IntoIterator for &'a Files<'_> {
    type Item = <Self::IntoIter as Iterator>::Item;
    type IntoIter = btree_map::Iter<'a, Vec<u8>, File<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.files.iter()
    }
}

impl<'a> File<'a> {
    /// Returns the length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the parts of blocks that make up `length` bytes of the file from `offset` on; stops at the file's end.
    pub fn extents(&self, offset: u64, length: u64) -> impl Iterator<Item = Extent<'a>> {
        let (mut skip, mut left) = (offset, length);
        self.pieces.iter().flat_map(move |piece| {
            let start = skip.min(piece.size);
            let take = left.min(piece.size - start);
            skip -= start;
            left -= take;
            piece.stream.extents(piece.position + start, take)
        })
    }
}

fn relative(path: &[u8]) -> &[u8] {
    path.strip_prefix(b"./").or_else(|| path.strip_prefix(b".")).unwrap_or(path)
}

/// Tells whether a path is the other one or below it; everything is below the empty path.
pub(super) fn is_below(path: &[u8], top: &[u8]) -> bool {
    path.strip_prefix(top).is_some_and(|rest| top.is_empty() || rest.is_empty() || rest.starts_with(b"/"))
}

/// Returns the directories above a path, the root excepted.
pub(super) fn parents(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    slashes.filter_map(|(index, _)| path.get(..index))
}
