//! Checks a block's bytes while they pass.

use annex_protocol::keep::BlockHash;
use bytes::Bytes;
use md5::{Digest, Md5};

use super::Block;

/// Hashes a block as it is read and holds its end back until size and hash are known to be right.
pub struct Verifier {
    block: Block,
    seen: u64,
    md5: Md5,
    /// The newest bytes: they leave when others have come after them, or when all is well.
    held: Option<Bytes>,
}

impl Verifier {
    /// Begins a block.
    pub fn new(block: Block) -> Self {
        Self { block, seen: 0, md5: Md5::new(), held: None }
    }

    /// Takes the next bytes, returns those that may leave.
    ///
    /// This hashes: call it on a blocking thread.
    pub fn push(&mut self, bytes: Bytes) -> Option<Bytes> {
        if bytes.is_empty() {
            return None;
        }
        self.seen += bytes.len() as u64;
        self.md5.update(&bytes);
        self.held.replace(bytes)
    }

    /// Ends the block: the last bytes, or what is wrong with it.
    pub fn finish(self) -> Result<Option<Bytes>, String> {
        if self.seen != u64::from(self.block.size) {
            return Err(format!("it has {} bytes", self.seen));
        }
        let found = BlockHash::from(<[u8; 16]>::from(self.md5.finalize()));
        if found != self.block.hash { Err(format!("its MD5 is {found}")) } else { Ok(self.held) }
    }
}
