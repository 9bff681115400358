//! The normal form of Arvados's Python client.
//!
//! Other programs have other normal forms, and the portable data hash depends on the form: never normalise a manifest
//! that a client gave.

use std::collections::{BTreeMap, HashMap};

use super::files::{File, Files};
use super::syntax::Reason;
use super::{Manifest, Segment, Stream};
use crate::keep::Locator;

/// A directory's path, component by component: sorts parents first, then names bytewise.
type Directory<'a> = Vec<&'a [u8]>;

pub(super) fn streams(manifest: &Manifest) -> Result<Vec<Stream>, Reason> {
    of_files(&manifest.files()?)
}

/// Returns the streams of a tree.
pub(super) fn of_files(files: &Files<'_>) -> Result<Vec<Stream>, Reason> {
    let mut directories = BTreeMap::<Directory<'_>, Vec<(&[u8], &File<'_>)>>::new();
    for path in files.marked_directories().filter(|path| !path.is_empty()) {
        directories.insert(components(path), Vec::new());
    }
    // In order of whole paths, which within one directory is the order of names.
    for (path, file) in files {
        let mut directory = components(path);
        let name = directory.pop().unwrap_or_default();
        directories.entry(directory).or_default().push((name, file));
    }
    let mut streams = Vec::with_capacity(directories.len());
    let mut rest = directories.iter().peekable();
    while let Some((directory, files)) = rest.next() {
        let has_children = rest.peek().is_some_and(|(next, _)| next.starts_with(directory));
        if !files.is_empty() {
            streams.push(directory_stream(directory, files)?);
        } else if !has_children {
            let marker = Segment { position: 0, size: 0, name: b".".to_vec() };
            streams.push(Stream::new(stream_name(directory), vec![Locator::EMPTY], vec![marker])?);
        }
    }
    Ok(streams)
}

fn directory_stream(directory: &[&[u8]], files: &[(&[u8], &File<'_>)]) -> Result<Stream, Reason> {
    let mut blocks = Vec::new();
    let mut starts = HashMap::new();
    let mut size = 0u64;
    let mut segments = Vec::with_capacity(files.len());
    // Blocks in order of first use, each once; the ranges of a file that follow each other become one.
    for (name, file) in files {
        let mut span: Option<Segment> = None;
        for extent in file.extents(0, file.size()) {
            let locator = extent.locator.stripped();
            let start = *starts.entry(locator).or_insert_with_key(|locator| {
                blocks.push(locator.clone());
                let start = size;
                size = size.saturating_add(locator.size());
                start
            });
            let position = start + extent.offset;
            match &mut span {
                Some(span) if span.position + span.size == position => span.size += extent.size,
                span => {
                    let next = Segment { position, size: extent.size, name: name.to_vec() };
                    segments.extend(span.replace(next));
                }
            }
        }
        segments.push(span.unwrap_or_else(|| Segment { position: 0, size: 0, name: name.to_vec() }));
    }
    if blocks.is_empty() {
        blocks.push(Locator::EMPTY);
    }
    Stream::new(stream_name(directory), blocks, segments)
}

fn components(path: &[u8]) -> Directory<'_> {
    path.split(|byte| *byte == b'/').collect()
}

fn stream_name(directory: &[&[u8]]) -> Vec<u8> {
    let root: &[u8] = b".";
    std::iter::once(&root).chain(directory).copied().collect::<Vec<_>>().join(&b'/')
}
