//! Keep manifests: how files are cut into blocks.
//!
//! A manifest is a list of streams; a stream is a row of blocks, and a file is made of ranges of streams. Names are
//! bytes: manifests are meant to be UTF-8, but escapes can make anything of them.
//!
//! Source: `docs/spec/keep-collections.md` §1 and §2; vectors `keep-manifests.json`.

use std::collections::BTreeSet;

use crate::keep::Locator;

mod edit;
mod files;
mod normal;
mod stream;
mod syntax;
mod text;

#[cfg(test)]
mod tests;

pub use files::{File, Files};
pub use stream::{Extent, Segment, Stream};
pub use syntax::{Reason, validate};
pub use text::{as_remote, portable_data_hash, stripped, with_signatures, without_signatures};

/// A manifest that can be read: every locator has a size, every segment lies inside its stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    streams: Vec<Stream>,
}

/// Why bytes are no manifest, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Manifest invalid for stream {stream}: {reason}")]
pub struct ManifestError {
    /// The stream, counted from 1.
    pub stream: usize,
    /// What is wrong with it.
    #[source]
    pub reason: Reason,
}

impl Manifest {
    /// Parses a manifest. Stricter than the API server ([`validate`]): refuses what no client can read.
    pub fn parse(text: &[u8]) -> Result<Self, ManifestError> {
        let streams = syntax::lines(text)?
            .enumerate()
            .map(|(index, line)| Stream::parse(line).map_err(|reason| ManifestError { stream: index + 1, reason }));
        Ok(Self { streams: streams.collect::<Result<_, _>>()? })
    }

    /// Makes the manifest of one file, whose blocks are `blocks` in order.
    ///
    /// `directory` is its path without `./`, empty for none; `name` is any bytes without `/`, except `.` and `..`.
    pub fn of_file(directory: &[u8], name: &[u8], blocks: Vec<Locator>) -> Result<Self, Reason> {
        let stream_name = if directory.is_empty() { b".".to_vec() } else { [b"./", directory].concat() };
        let blocks = if blocks.is_empty() { vec![Locator::EMPTY] } else { blocks };
        let size = blocks.iter().try_fold(0u64, |sum, block| sum.checked_add(block.size())).ok_or(Reason::TooLarge)?;
        if name.contains(&b'/') || name == b"." {
            return Err(Reason::FileName);
        }
        let segment = Segment { position: 0, size, name: name.to_vec() };
        Ok(Self { streams: vec![Stream::new(stream_name, blocks, vec![segment])?] })
    }

    /// Makes a manifest of streams.
    pub fn of_streams(streams: Vec<Stream>) -> Self {
        Self { streams }
    }

    /// Returns the streams in order.
    pub fn streams(&self) -> &[Stream] {
        &self.streams
    }

    /// Writes the manifest; what [`parse`](Self::parse) reads back as the same value.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.streams.iter().for_each(|stream| stream.write_to(&mut out));
        out
    }

    /// Returns the locators of all distinct blocks, without hints.
    pub fn blocks(&self) -> BTreeSet<Locator> {
        self.streams.iter().flat_map(Stream::blocks).map(Locator::stripped).collect()
    }

    /// Returns all files by path (without `./`).
    pub fn files(&self) -> Result<Files<'_>, Reason> {
        Files::of(&self.streams)
    }

    /// Returns the manifest in normal form, without hints, as Arvados's Python client makes it.
    ///
    /// One stream a directory, directories and names sorted, each block once a stream, unused blocks dropped.
    pub fn normalized(&self) -> Result<Self, Reason> {
        Ok(Self { streams: normal::streams(self)? })
    }
}
