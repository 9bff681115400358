//! A stream of bytes cut into blocks, with the MD5 of each, and the BLAKE3 of large ones.

use std::num::NonZero;
use std::sync::LazyLock;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use md5::{Digest as _, Md5};

use super::{Budget, Counted, Lane, Work};

/// The largest block that Keep allows: 64 MiB.
pub const MAX_BLOCK: u32 = 1 << 26;

/// Cuts content into blocks and takes the MD5 of each, off the runtime, several blocks at once.
///
/// One cutter can serve many stores: each gets every [`Piece`], and all share the one digest.
/// Bytes that wait to be hashed are bounded by a budget, which cutters share; where hashing keeps up, far fewer wait.
#[derive(Debug)]
pub struct Cutter {
    block_size: u32,
    /// Bytes until the next cut.
    room: u32,
    /// Bytes in the present block.
    len: u32,
    lane: Option<Lane<Hashing>>,
    budget: Budget,
}

/// A part of cut content.
#[derive(Debug, Clone)]
pub enum Piece {
    /// Bytes of the present block. Never empty.
    Data(Bytes),
    /// The present block ends here. A block is never empty.
    Cut(BlockDigest),
}

/// A block's hashes and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest {
    /// The MD5 of the block's bytes.
    pub md5: [u8; 16],
    /// The number of bytes.
    pub len: u32,
    /// The BLAKE3 of the bytes, of a large block: who reads it checks that in a fraction of the time that MD5 takes.
    pub blake3: Option<[u8; 32]>,
}

/// The digest of a block that is perhaps still being hashed; cheap to clone, and the hashing needs nobody to wait.
#[derive(Clone)]
pub struct BlockDigest(Shared<BoxFuture<'static, Option<Digest>>>);

/// The thread that hashed a block was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the digest of a block was lost")]
pub struct DigestLost;

/// Returns the budget of this process for bytes that wait to be hashed: cutters have it unless they are given another one.
///
/// It is up to as much as a block, so that a second block can be hashed while the first one still is. All uploads share it,
/// since more that wait are not hashed any sooner, and few cores have no time for a second block.
fn of_this_process() -> Budget {
    const FOR_A_CORE: u32 = 8 << 20;
    static WAITING: LazyLock<Budget> = LazyLock::new(|| {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Budget::new(u32::try_from(cores).unwrap_or(u32::MAX).saturating_mul(FOR_A_CORE).min(MAX_BLOCK))
    });
    WAITING.clone()
}

/// Blocks larger than this have a BLAKE3, too.
pub const LARGE_BLOCK: u32 = 1 << 20;

impl Cutter {
    /// Makes a cutter for content whose first byte to come stands at `offset`.
    ///
    /// Cuts fall on multiples of `block_size` of the whole content, so that a resumed upload ends in the same blocks.
    /// `block_size` is brought into the range 1 to [`MAX_BLOCK`]. The cutter shares the budget of this process.
    pub fn new(block_size: u32, offset: u64) -> Self {
        Self::within(of_this_process(), block_size, offset)
    }

    /// Does the same with another budget for bytes that wait to be hashed.
    pub fn within(budget: Budget, block_size: u32, offset: u64) -> Self {
        let block_size = block_size.clamp(1, MAX_BLOCK);
        let into_block = u32::try_from(offset % u64::from(block_size)).unwrap_or_default();
        Self { block_size, room: block_size - into_block, len: 0, lane: None, budget }
    }

    /// Takes the next bytes and returns them as pieces; waits while too many bytes wait to be hashed.
    ///
    /// A call that was cancelled has taken nothing.
    pub async fn push(&mut self, bytes: Bytes) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(1);
        if bytes.is_empty() {
            return pieces;
        }
        let mut rest = match self.budget.try_take(bytes) {
            Ok(counted) => counted,
            Err(bytes) => {
                // Few bytes gather before they are hashed: those that everybody waits for must not.
                self.lane.iter().for_each(Lane::hurry);
                self.budget.take(bytes).await
            }
        };
        while !rest.bytes.is_empty() {
            let part = rest.split_to(self.room as usize);
            pieces.push(Piece::Data(part.bytes.clone()));
            pieces.extend(self.add(part));
        }
        pieces
    }

    /// Ends the present block, if it has bytes, and returns its cut.
    ///
    /// The cutter can be used on: what follows is a new block, up to the next multiple of the block size.
    pub fn finish(&mut self) -> Option<Piece> {
        let lane = self.lane.take()?;
        let len = std::mem::take(&mut self.len);
        let digest = lane.finish_soon(move |hashing| hashing.finish(len));
        Some(Piece::Cut(BlockDigest(digest.shared())))
    }

    /// Adds bytes that fit the present block; returns the cut when they fill it.
    fn add(&mut self, part: Counted) -> Option<Piece> {
        let size = u32::try_from(part.bytes.len()).unwrap_or(u32::MAX).min(self.room);
        self.len += size;
        self.room -= size;
        self.lane.get_or_insert_with(|| Lane::new(Hashing::default())).push(part);
        if self.room > 0 {
            return None;
        }
        self.room = self.block_size;
        self.finish()
    }
}

impl BlockDigest {
    /// Waits for the digest.
    pub async fn wait(&self) -> Result<Digest, DigestLost> {
        self.0.clone().await.ok_or(DigestLost)
    }
}

impl From<Digest> for BlockDigest {
    fn from(digest: Digest) -> Self {
        Self(std::future::ready(Some(digest)).boxed().shared())
    }
}

impl std::fmt::Debug for BlockDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("BlockDigest").field(&self.0.peek()).finish()
    }
}

#[derive(Debug, Default)]
struct Hashing {
    md5: Md5,
    blake3: blake3::Hasher,
}

impl Hashing {
    fn finish(self, len: u32) -> Digest {
        let blake3 = (len > LARGE_BLOCK).then(|| self.blake3.finalize().into());
        Digest { md5: self.md5.finalize().into(), len, blake3 }
    }
}

impl Work for Hashing {
    fn take(&mut self, bytes: Counted) {
        self.md5.update(&bytes.bytes);
        self.blake3.update(&bytes.bytes);
    }
}

#[cfg(test)]
mod tests;
