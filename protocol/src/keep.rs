//! Keep blocks: hashes, locators, permission signatures, tokens, and where to look for a block first.
//!
//! Source: `docs/spec/keep-blocks.md` §1, §2 and §6; `docs/spec/keep-federation.md` §2 for tokens; vectors
//! `keep-*.json`.

use std::fmt;

use md5::{Digest, Md5};

use crate::hex;

mod call;
mod cluster;
mod locator;
mod mapping;
mod object;
mod rendezvous;
mod request;
mod signature;
mod time;
mod token;

#[cfg(test)]
mod tests;

pub use call::KeepCall;
pub use cluster::ClusterId;
pub(crate) use locator::digits as locator_digits;
pub use locator::{Locator, LocatorError, is_loose_locator};
pub use mapping::{Mapping, MappingError};
pub use object::ObjectKind;
pub use rendezvous::{mount_order, service_order, weight};
pub use request::{BlockRequest, InvalidRequest};
pub use signature::{SignatureError, Signer};
pub use time::ApiTime;
pub use token::{SaltError, Token, salted_secret_matches};

/// The most bytes that a block can have: 64 MiB.
pub const MAX_BLOCK: usize = 64 << 20;

/// The address of a block: the MD5 of its bytes.
///
/// MD5 can be forged: an address, never a proof of honest content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockHash([u8; 16]);

impl BlockHash {
    /// The hash of the empty block, which nobody needs to store.
    pub const EMPTY: Self =
        Self([0xd4, 0x1d, 0x8c, 0xd9, 0x8f, 0x00, 0xb2, 0x04, 0xe9, 0x80, 0x09, 0x98, 0xec, 0xf8, 0x42, 0x7e]);

    /// Hashes a block.
    pub fn of(block: &[u8]) -> Self {
        Self(Md5::digest(block).into())
    }

    /// Reads exactly 32 lower-case hex digits.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.iter().any(u8::is_ascii_uppercase) {
            return None;
        }
        hex::decode(text).map(Self)
    }

    /// Returns the 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<[u8; 16]> for BlockHash {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockHash({self})")
    }
}
