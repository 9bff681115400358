//! Files of a collection in its manifest.

use annex_protocol::keep::Locator;
use annex_protocol::manifest::{self, Manifest, Segment, Stream};

use super::Files;
use crate::entries::file::{Extent, extents_of};
use crate::store::Block;

/// Reads the files of a manifest, and gives away each of its locators; or says what is wrong with it.
pub(super) fn read(text: &str, mut learn: impl FnMut(&Locator)) -> Result<Files, String> {
    let manifest = Manifest::parse(text.as_bytes()).map_err(|error| error.to_string())?;
    manifest.streams().iter().flat_map(Stream::blocks).for_each(&mut learn);
    let files = manifest.files().map_err(|error| error.to_string())?;
    let file = |(path, file): (&Vec<u8>, &manifest::File<'_>)| Some((path.clone(), extents_of(file)?));
    files.iter().map(file).collect::<Option<_>>().ok_or_else(|| "it has a block that is too large".to_owned())
}

/// Writes the manifest of files, or says which cannot stand in one.
pub(super) fn write(files: &Files, locator: impl Fn(Block) -> Locator) -> Result<String, String> {
    let stream = |(path, extents): (&Vec<u8>, &Vec<Extent>)| {
        stream_of(path, extents, &locator).map_err(|error| format!("{}: {error}", String::from_utf8_lossy(path)))
    };
    let streams = files.iter().map(stream).collect::<Result<_, _>>()?;
    String::from_utf8(Manifest::of_streams(streams).to_bytes()).map_err(|error| error.to_string())
}

/// Returns the line of a manifest that holds one file.
fn stream_of(path: &[u8], extents: &[Extent], locator: impl Fn(Block) -> Locator) -> Result<Stream, manifest::Reason> {
    let (directory, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => path.split_at(slash),
        None => (&b""[..], path),
    };
    let name = name.strip_prefix(b"/").unwrap_or(name);
    let directory = if directory.is_empty() { b".".to_vec() } else { [b"./", directory].concat() };
    let mut segments: Vec<Segment> = Vec::with_capacity(1);
    let mut start = 0;
    for extent in extents {
        let (position, size) = (start + u64::from(extent.offset), u64::from(extent.size));
        match segments.last_mut().filter(|last| last.position + last.size == position) {
            Some(last) => last.size += size,
            None => segments.push(Segment { position, size, name: name.to_vec() }),
        }
        start += u64::from(extent.block.size);
    }
    let mut blocks: Vec<Locator> = extents.iter().map(|extent| locator(extent.block)).collect();
    if blocks.is_empty() {
        blocks.push(Locator::EMPTY);
        segments.push(Segment { position: 0, size: 0, name: name.to_vec() });
    }
    Stream::new(directory, blocks, segments)
}
