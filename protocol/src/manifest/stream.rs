//! One line of a manifest: a row of blocks, and the files cut from it.

use super::syntax::{self, Line, Reason};
use crate::keep::{Locator, MAX_BLOCK};

/// A row of blocks and the file segments in it. Names are unescaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    name: Vec<u8>,
    blocks: Vec<Locator>,
    /// Where each block ends in the stream.
    ends: Vec<u64>,
    segments: Vec<Segment>,
}

/// A range of a stream that belongs to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins in the stream, in bytes.
    pub position: u64,
    /// Its length in bytes.
    pub size: u64,
    /// The file, relative to the stream; `.` marks an empty directory.
    pub name: Vec<u8>,
}

/// A part of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent<'a> {
    /// The block.
    pub locator: &'a Locator,
    /// Where the part begins in the block.
    pub offset: u64,
    /// The part's length, at least 1.
    pub size: u64,
}

impl Stream {
    /// Makes a stream; checks names and ranges.
    pub fn new(name: Vec<u8>, blocks: Vec<Locator>, segments: Vec<Segment>) -> Result<Self, Reason> {
        syntax::check_stream_name(&name)?;
        if blocks.is_empty() {
            return Err(Reason::NoBlock);
        }
        if segments.is_empty() {
            return Err(Reason::NoFile);
        }
        let mut size = 0u64;
        let mut ends = Vec::with_capacity(blocks.len());
        for block in &blocks {
            if block.size() > MAX_BLOCK as u64 {
                return Err(Reason::Locator);
            }
            size = size.checked_add(block.size()).ok_or(Reason::TooLarge)?;
            ends.push(size);
        }
        for segment in &segments {
            syntax::check_file_name(&segment.name, segment.position == 0 && segment.size == 0)?;
            if segment.position.checked_add(segment.size).is_none_or(|end| end > size) {
                return Err(Reason::OutOfRange);
            }
        }
        Ok(Self { name, blocks, ends, segments })
    }

    /// Parses one line, without its line feed.
    pub fn parse(line: &[u8]) -> Result<Self, Reason> {
        let Line { name, locators, segments } = Line::parse(line)?;
        let blocks = locators.into_iter().map(|token| Locator::parse(token).map_err(|_| Reason::Locator));
        let segments = segments.into_iter().map(|segment| {
            let (position, size) = (number(segment.position)?, number(segment.size)?);
            Ok(Segment { position, size, name: segment.name })
        });
        Self::new(name, blocks.collect::<Result<_, _>>()?, segments.collect::<Result<_, Reason>>()?)
    }

    /// Returns the name: `.`, or `./` and a path.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Returns the blocks in order.
    pub fn blocks(&self) -> &[Locator] {
        &self.blocks
    }

    /// Returns the file segments in order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Returns the length of all blocks together.
    pub fn size(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Returns the parts of blocks that make up a range of the stream; stops where the stream ends.
    pub fn extents(&self, position: u64, size: u64) -> impl Iterator<Item = Extent<'_>> {
        let end = position.saturating_add(size).min(self.size());
        let first = self.ends.partition_point(|end| *end <= position);
        let blocks = self.blocks.iter().zip(&self.ends).skip(first);
        blocks
            .map_while(move |(locator, block_end)| {
                let block_start = block_end - locator.size();
                let from = position.max(block_start);
                (block_start < end).then(|| Extent {
                    locator,
                    offset: from - block_start,
                    size: (*block_end).min(end).saturating_sub(from),
                })
            })
            .filter(|extent| extent.size > 0)
    }

    /// Writes the stream as one line, line feed included.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        syntax::escape(&self.name, out);
        for block in &self.blocks {
            out.extend_from_slice(format!(" {block}").as_bytes());
        }
        for Segment { position, size, name } in &self.segments {
            out.extend_from_slice(format!(" {position}:{size}:").as_bytes());
            // Older servers refuse a bare `.`.
            if name == b"." { out.extend_from_slice(b"\\056") } else { syntax::escape(name, out) }
        }
        out.push(b'\n');
    }
}

fn number(digits: &[u8]) -> Result<u64, Reason> {
    std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or(Reason::TooLarge)
}
