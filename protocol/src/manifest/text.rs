//! Work on a manifest's text, byte for byte: never parsed, so never changed but where it must be.

use crate::keep::{BlockHash, ClusterId, Locator};

/// Returns the manifest with every block cut to `hash+size`.
pub fn stripped(text: &[u8]) -> Vec<u8> {
    map_blocks(text, |block, out| {
        let mut parts = block.split(|byte| *byte == b'+');
        out.extend_from_slice(parts.next().unwrap_or_default());
        if let Some(size) = parts.next() {
            out.push(b'+');
            out.extend_from_slice(size);
        }
    })
}

/// Returns the portable data hash of a manifest: MD5 and length of its stripped text.
///
/// Looks like a block's locator; only context tells them apart.
pub fn portable_data_hash(text: &[u8]) -> String {
    let stripped = stripped(text);
    format!("{}+{}", BlockHash::of(&stripped), stripped.len())
}

/// Returns the manifest without permission signatures (`+A`); other hints stay. The form that is stored.
pub fn without_signatures(text: &[u8]) -> Vec<u8> {
    map_hints(text, |hint, out| {
        if !hint.starts_with(b"A") {
            out.push(b'+');
            out.extend_from_slice(hint);
        }
    })
}

/// Returns the manifest with each block as `sign` returns it: with a signature for the reader's token.
///
/// Text that only looks like a block stays as it is.
pub fn with_signatures(text: &[u8], mut sign: impl FnMut(&Locator) -> Locator) -> Vec<u8> {
    map_blocks(text, |block, out| {
        let Ok(locator) = Locator::parse(block) else { return out.extend_from_slice(block) };
        // Hash and size stay as they are written: the portable data hash is made of them.
        let mut pluses = block.iter().enumerate().filter(|(_, byte)| **byte == b'+').skip(1);
        let end = pluses.next().map_or(block.len(), |(index, _)| index);
        out.extend_from_slice(block.get(..end).unwrap_or(block));
        for hint in sign(&locator).hints() {
            out.push(b'+');
            out.extend_from_slice(hint.as_bytes());
        }
    })
}

/// Returns the manifest for use in another cluster: `+Asig@expiry` becomes `+Rissuer-sig@expiry`.
pub fn as_remote(text: &[u8], issuer: ClusterId) -> Vec<u8> {
    map_hints(text, |hint, out| match hint.strip_prefix(b"A") {
        Some(signature) => {
            out.extend_from_slice(b"+R");
            out.extend_from_slice(issuer.as_bytes());
            out.push(b'-');
            out.extend_from_slice(signature);
        }
        None => {
            out.push(b'+');
            out.extend_from_slice(hint);
        }
    })
}

/// Copies the text, each block token through `hint` for everything behind the hash.
fn map_hints(text: &[u8], mut hint: impl FnMut(&[u8], &mut Vec<u8>)) -> Vec<u8> {
    map_blocks(text, |block, out| {
        let mut parts = block.split(|byte| *byte == b'+');
        out.extend_from_slice(parts.next().unwrap_or_default());
        parts.for_each(|part| hint(part, out));
    })
}

/// Copies the text, each block token through `block`.
fn map_blocks(text: &[u8], mut block: impl FnMut(&[u8], &mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for piece in text.split_inclusive(|byte| matches!(byte, b' ' | b'\n')) {
        // A block has a space behind it; the same text at the end of a line is a file's name.
        match piece.strip_suffix(b" ") {
            Some(token) if is_block(token) => {
                block(token, &mut out);
                out.push(b' ');
            }
            _ => out.extend_from_slice(piece),
        }
    }
    out
}

fn is_block(token: &[u8]) -> bool {
    let hash = token.get(..32).unwrap_or(token);
    token.get(32) == Some(&b'+') && !token.starts_with(b".") && !hash.contains(&b':')
}
