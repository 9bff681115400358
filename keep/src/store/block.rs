//! A block's name and size.

use std::fmt;

use annex_protocol::keep::{BlockHash, Locator};

use crate::base::stream::MAX_BLOCK;

/// A block as others refer to it: name and size.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    /// Its name, the MD5 of its bytes.
    pub hash: BlockHash,
    /// Its size in bytes, at most 64 MiB.
    pub size: u32,
}

/// A locator names a block larger than 64 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the block is larger than 64 MiB")]
pub struct TooLarge;

impl Block {
    /// The block without bytes, which needs no storing.
    pub const EMPTY: Self = Self { hash: BlockHash::EMPTY, size: 0 };

    /// Returns the locator, without hints.
    pub fn locator(self) -> Locator {
        Locator::new(self.hash, self.size.into())
    }
}

impl TryFrom<&Locator> for Block {
    type Error = TooLarge;

    fn try_from(locator: &Locator) -> Result<Self, TooLarge> {
        match u32::try_from(locator.size()) {
            Ok(size) if size <= MAX_BLOCK => Ok(Self { hash: locator.hash(), size }),
            _ => Err(TooLarge),
        }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.hash, self.size)
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
