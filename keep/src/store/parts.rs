//! A block store together with what it can do beyond others.

use std::sync::Arc;

use annex_protocol::keep::Locator;
use bytes::Bytes;

use super::{Block, BlockStore, BlocksHere, PlaceUnsynced, SignedLocators, StoreError};

/// A block store, and the further ports that its place has.
///
/// Whoever puts the parts together chooses them. A decorator that has to see every access to the blocks leaves out `here`
/// and `unsynced`, because these go past it.
#[derive(Clone)]
pub struct StoreParts {
    /// The blocks.
    pub blocks: Arc<dyn BlockStore>,
    /// Small blocks put in place unsynced, if the place can do so.
    pub unsynced: Option<Arc<dyn PlaceUnsynced>>,
    /// The same blocks seen from the thread that asks, if they are on this machine's disks.
    pub here: Option<Arc<dyn BlocksHere>>,
    /// The signatures without which the blocks cannot be read, if the place asks for any.
    pub signed: Option<Arc<dyn SignedLocators>>,
}

impl StoreParts {
    /// Makes the parts of a store that can do no more than every store.
    pub fn plain(blocks: impl BlockStore) -> Self {
        Self { blocks: Arc::new(blocks), unsynced: None, here: None, signed: None }
    }

    /// Puts small blocks in place. They are durable after the next [`StoreParts::sync`]; where the place cannot wait, at once.
    pub async fn place(&self, blocks: Vec<(Block, Bytes)>) -> Result<(), StoreError> {
        if let Some(unsynced) = &self.unsynced {
            return unsynced.place(blocks).await;
        }
        for (block, bytes) in blocks {
            let mut writer = self.blocks.writer().await?;
            writer.write(bytes).await?;
            writer.finish(block, None).await?;
        }
        Ok(())
    }

    /// Makes all blocks durable that [`StoreParts::place`] put in place before this call.
    pub async fn sync(&self) -> Result<(), StoreError> {
        match &self.unsynced {
            Some(unsynced) => unsynced.sync().await,
            None => Ok(()),
        }
    }

    /// Returns the block's locator, with its signature if one is known.
    pub fn locator(&self, block: Block) -> Locator {
        self.signed.as_ref().map_or_else(|| block.locator(), |signed| signed.locator(block))
    }

    /// Notes the permission signature of a locator, if it has one.
    pub fn learn(&self, locator: &Locator) {
        if let Some(signed) = &self.signed {
            signed.learn(locator);
        }
    }
}
