//! An index that remembers nothing: for stores whose entries are recorded elsewhere, in collections or by their user.

use std::time::SystemTime;

use annex_protocol::keep::BlockHash;
use async_trait::async_trait;

use super::{Entry, Index, IndexError, Totals};
use crate::store::Block;

/// Remembers nothing, and takes every block for one that somebody refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoIndex;

#[async_trait]
impl Index for NoIndex {
    async fn entry(&self, _owner: &[u8], _name: &[u8]) -> Result<Option<Entry>, IndexError> {
        Ok(None)
    }

    async fn put(&self, _entry: Entry, _deadline: SystemTime) -> Result<Vec<Block>, IndexError> {
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

    async fn referenced(&self, blocks: &[BlockHash]) -> Result<Vec<BlockHash>, IndexError> {
        Ok(blocks.to_vec())
    }

    async fn lease(&self, _blocks: &[BlockHash], _until: SystemTime) -> Result<(), IndexError> {
        Ok(())
    }

    async fn forget_leases(&self, _now: SystemTime) -> Result<(), IndexError> {
        Ok(())
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

    async fn retain(
        &self,
        _keep: Box<dyn Fn(BlockHash) -> bool + Send>,
        _before: SystemTime,
    ) -> Result<u64, IndexError> {
        Ok(0)
    }

    async fn upload(&self, _owner: &[u8], _name: &[u8]) -> Result<Vec<Block>, IndexError> {
        Ok(Vec::new())
    }

    async fn record_upload(&self, _owner: &[u8], _name: &[u8], _blocks: &[Block]) -> Result<(), IndexError> {
        Ok(())
    }

    async fn forget_upload(
        &self,
        _owner: &[u8],
        _name: &[u8],
        _deadline: SystemTime,
    ) -> Result<Vec<Block>, IndexError> {
        Ok(Vec::new())
    }

    async fn stale_uploads(&self, _before: SystemTime, _limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>, IndexError> {
        Ok(Vec::new())
    }

    async fn due(&self, _now: SystemTime, _limit: usize) -> Result<Vec<BlockHash>, IndexError> {
        Ok(Vec::new())
    }

    async fn forget_due(&self, _blocks: &[BlockHash], _now: SystemTime) -> Result<(), IndexError> {
        Ok(())
    }

    async fn totals(&self) -> Result<Totals, IndexError> {
        Ok(Totals::default())
    }

    async fn set_complete(&self, _complete: bool) -> Result<(), IndexError> {
        Ok(())
    }
}
