//! What the path of a block request names, read as generously as keepstore reads it.

use super::BlockHash;

/// A block as a client asks for it: size and hints may be missing, and hints are not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRequest {
    /// The block's hash.
    pub hash: BlockHash,
    /// The size that the client expects, if it named one.
    pub size: Option<u64>,
    /// A hint begins with `A`: signed by this cluster, whether or not the signature is well formed.
    pub signed: bool,
    /// A hint begins with `R`: signed by another cluster.
    pub remote: bool,
}

/// A request path names no block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid locator")]
pub struct InvalidRequest;

impl BlockRequest {
    /// Reads a request path, without the leading `/`.
    ///
    /// Agrees with keepstore on what is a locator; a size below zero, which keepstore lets pass, counts as not given.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidRequest> {
        let mut parts = text.split(|byte| *byte == b'+');
        let hash = parts.next().and_then(BlockHash::parse).ok_or(InvalidRequest)?;
        let mut request = Self { hash, size: None, signed: false, remote: false };
        for (index, part) in parts.enumerate() {
            match part.first() {
                None => return Err(InvalidRequest),
                Some(b'A') => request.signed = true,
                Some(b'R') => request.remote = true,
                Some(b'0'..=b'9') if index > 0 => return Err(InvalidRequest),
                Some(_) if index == 0 => {
                    request.size = std::str::from_utf8(part).ok().and_then(|size| size.parse().ok());
                }
                Some(_) => {}
            }
        }
        Ok(request)
    }
}
