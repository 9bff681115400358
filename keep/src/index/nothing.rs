//! An index that knows no entries: for stores whose entries are recorded elsewhere, in collections or by their user.

use std::sync::Arc;
use std::time::SystemTime;

use annex_protocol::keep::BlockHash;
use async_trait::async_trait;

use super::{Deadlines, Entries, Entry, Index, IndexError, IndexParts, Rebuilding, References, Totals, Uploads};
use crate::store::Block;

/// Remembers no entries, and takes every block for one that somebody refers to.
#[derive(Default)]
pub struct NoIndex {
    /// The index that remembers unfinished uploads. Without one, each upload starts from the beginning.
    uploads: Option<Arc<dyn Index>>,
}

impl NoIndex {
    /// Lets another index remember unfinished uploads. The blocks of an entry stay an unfinished upload until the entry is
    /// recorded elsewhere and [`Uploads::forget_upload`] is called.
    pub fn with_uploads(uploads: Arc<dyn Index>) -> Self {
        Self { uploads: Some(uploads) }
    }
}

#[async_trait]
impl Entries for NoIndex {
    async fn entry(&self, _owner: &[u8], _name: &[u8]) -> Result<Option<Entry>, IndexError> {
        Ok(None)
    }

    async fn put(&self, entry: Entry, _deadline: SystemTime) -> Result<Vec<Block>, IndexError> {
        self.record_upload(&entry.owner, &entry.name, &entry.blocks).await?;
        Ok(Vec::new())
    }

    async fn remove(
        &self,
        _owner: &[u8],
        _name: &[u8],
        _deadline: SystemTime,
    ) -> Result<Option<Vec<Block>>, IndexError> {
        Ok(None)
    }

    async fn entries_with(&self, _block: BlockHash) -> Result<Vec<Entry>, IndexError> {
        Ok(Vec::new())
    }

    async fn list(
        &self,
        _owner: Option<&[u8]>,
        _after: Option<(&[u8], &[u8])>,
        _limit: usize,
    ) -> Result<Vec<Entry>, IndexError> {
        Ok(Vec::new())
    }

    async fn totals(&self) -> Result<Totals, IndexError> {
        Ok(Totals::default())
    }
}

#[async_trait]
impl References for NoIndex {
    async fn referenced(&self, blocks: &[BlockHash]) -> Result<Vec<BlockHash>, IndexError> {
        Ok(blocks.to_vec())
    }

    async fn lease(&self, _blocks: &[BlockHash], _until: SystemTime) -> Result<(), IndexError> {
        Ok(())
    }

    async fn forget_leases(&self, _now: SystemTime) -> Result<(), IndexError> {
        Ok(())
    }
}

#[async_trait]
impl Uploads for NoIndex {
    async fn upload(&self, owner: &[u8], name: &[u8]) -> Result<Vec<Block>, IndexError> {
        match &self.uploads {
            Some(uploads) => uploads.upload(owner, name).await,
            None => Ok(Vec::new()),
        }
    }

    async fn record_upload(&self, owner: &[u8], name: &[u8], blocks: &[Block]) -> Result<(), IndexError> {
        match &self.uploads {
            Some(uploads) => uploads.record_upload(owner, name, blocks).await,
            None => Ok(()),
        }
    }

    async fn forget_upload(&self, owner: &[u8], name: &[u8], deadline: SystemTime) -> Result<Vec<Block>, IndexError> {
        match &self.uploads {
            Some(uploads) => uploads.forget_upload(owner, name, deadline).await,
            None => Ok(Vec::new()),
        }
    }

    async fn stale_uploads(&self, before: SystemTime, limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>, IndexError> {
        match &self.uploads {
            Some(uploads) => uploads.stale_uploads(before, limit).await,
            None => Ok(Vec::new()),
        }
    }
}

#[async_trait]
impl Deadlines for NoIndex {
    async fn due(&self, now: SystemTime, limit: usize) -> Result<Vec<BlockHash>, IndexError> {
        match &self.uploads {
            Some(uploads) => uploads.due(now, limit).await,
            None => Ok(Vec::new()),
        }
    }

    async fn forget_due(&self, blocks: &[BlockHash], now: SystemTime) -> Result<(), IndexError> {
        match &self.uploads {
            Some(uploads) => uploads.forget_due(blocks, now).await,
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Rebuilding for NoIndex {
    async fn set_complete(&self, _complete: bool) -> Result<(), IndexError> {
        Ok(())
    }

    async fn retain(
        &self,
        _keep: Box<dyn Fn(BlockHash) -> bool + Send>,
        _before: SystemTime,
    ) -> Result<u64, IndexError> {
        Ok(0)
    }
}

impl From<NoIndex> for IndexParts {
    fn from(index: NoIndex) -> Self {
        Self::plain(index)
    }
}
