//! Checks a block's bytes while they pass: by their MD5, which is the block's name, or by their BLAKE3, where that was noted
//! when the MD5 was known to be right.

use annex_protocol::keep::BlockHash;
use bytes::Bytes;
use md5::{Digest, Md5};

use super::Block;

/// Hashes a block as it is read and holds its end back until size and hash are known to be right.
pub struct Verifier {
    block: Block,
    seen: u64,
    hashing: Hashing,
    /// The newest bytes: they leave when others have come after them, or when all is well.
    held: Option<Bytes>,
}

enum Hashing {
    Md5(Md5),
    Blake3(Box<blake3::Hasher>, [u8; 32]),
}

impl Verifier {
    /// Begins a block.
    pub fn new(block: Block) -> Self {
        Self { block, seen: 0, hashing: Hashing::Md5(Md5::new()), held: None }
    }

    /// Begins a block whose bytes are known to have this BLAKE3, which is quicker to check.
    pub fn by_blake3(block: Block, known: [u8; 32]) -> Self {
        Self { block, seen: 0, hashing: Hashing::Blake3(Box::default(), known), held: None }
    }

    /// Takes the next bytes, returns those that may leave.
    ///
    /// This hashes: call it on a blocking thread.
    pub fn push(&mut self, bytes: Bytes) -> Option<Bytes> {
        if bytes.is_empty() {
            return None;
        }
        self.seen += bytes.len() as u64;
        match &mut self.hashing {
            Hashing::Md5(md5) => md5.update(&bytes),
            Hashing::Blake3(blake3, _) => drop(blake3.update(&bytes)),
        }
        self.held.replace(bytes)
    }

    /// Ends the block: the last bytes, or what is wrong with it.
    pub fn finish(self) -> Result<Option<Bytes>, String> {
        if self.seen != u64::from(self.block.size) {
            return Err(format!("it has {} bytes", self.seen));
        }
        let wrong = match self.hashing {
            Hashing::Md5(md5) => {
                let found = BlockHash::from(<[u8; 16]>::from(md5.finalize()));
                (found != self.block.hash).then(|| format!("its MD5 is {found}"))
            }
            Hashing::Blake3(blake3, known) => {
                let found = blake3.finalize();
                (found != known).then(|| format!("its BLAKE3 is {found}"))
            }
        };
        wrong.map_or(Ok(self.held), Err)
    }
}
