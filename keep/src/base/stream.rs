//! Content on its way: byte streams cut into blocks and hashed while they flow.
//!
//! Nothing here knows where bytes come from or go to. Work that would stall the runtime (hashing, writing files) runs
//! on a [`Lane`]: in order, on blocking threads, and only while there is something to do, so that a stalled peer holds
//! no thread. What waits for a lane is counted by a [`Budget`].

mod budget;
mod cutter;
mod lane;

pub use budget::{Budget, Counted};
pub use cutter::{BlockDigest, Cutter, Digest, DigestLost, LARGE_BLOCK, MAX_BLOCK, Piece};
pub use lane::{Lane, Work};
