//! An index in SQLite: one file, shared by many processes.
//!
//! Write-ahead log, full sync: a call that returned is durable, but for those that forget. Writes of one process gather
//! while the one before is being synced, and are committed together. Reads run beside them on connections of their own.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use annex_protocol::keep::BlockHash;
use async_trait::async_trait;
use rusqlite::params;

use super::{Deadlines, Entries, Entry, IndexError, IndexHere, IndexParts, Rebuilding, References, Totals, Uploads};
use crate::base::clock::SharedClock;
use crate::store::Block;

mod held;
mod open;
mod pool;
mod rows;
mod signatures;
mod writer;

use pool::Readers;
use writer::Writer;

pub use open::Mode;

/// An index in SQLite.
#[derive(Debug)]
pub struct SqliteIndex {
    // Dropped before the writer: the connection that closes last removes the log. Two that close at once may both leave it.
    readers: Readers,
    writer: Writer,
    clock: SharedClock,
}

impl SqliteIndex {
    /// Opens the database at `path`; `mode` tells what a missing or incomplete one means, `clock` which leases have ended and
    /// when something is recorded.
    pub async fn open(path: &Path, mode: Mode, clock: SharedClock) -> Result<Self, IndexError> {
        let opened = path.to_path_buf();
        let lost = || IndexError::Failed { path: path.to_path_buf(), reason: "the task ended unexpectedly".into() };
        let work = move || {
            let connection = open::open(&opened, mode)?;
            Ok(Self { readers: Readers::new(&opened), writer: Writer::start(connection, &opened)?, clock })
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| lost())?
    }
}

impl IndexHere for SqliteIndex {
    fn look_up(&self, owner: &[u8], name: &[u8]) -> Result<Option<Entry>, IndexError> {
        self.readers.read_here(|db| rows::entry(db, owner, name))
    }
}

#[async_trait]
impl Entries for SqliteIndex {
    async fn entry(&self, owner: &[u8], name: &[u8]) -> Result<Option<Entry>, IndexError> {
        let (owner, name) = (owner.to_vec(), name.to_vec());
        self.readers.read(move |db| rows::entry(db, &owner, &name)).await
    }

    async fn put(&self, entry: Entry, deadline: SystemTime) -> Result<Vec<Block>, IndexError> {
        let clock = Arc::clone(&self.clock);
        self.writer.write(move |db| rows::put(db, &entry, deadline, clock.wall())).await
    }

    async fn remove(&self, owner: &[u8], name: &[u8], deadline: SystemTime) -> Result<Option<Vec<Block>>, IndexError> {
        let (owner, name, clock) = (owner.to_vec(), name.to_vec(), Arc::clone(&self.clock));
        self.writer
            .write_soon(move |db| {
                let Some(lost) = rows::take_entry(db, &owner, &name)? else { return Ok(None) };
                rows::note_unreferenced(db, lost, deadline, clock.wall()).map(Some)
            })
            .await
    }

    async fn entries_with(&self, block: BlockHash) -> Result<Vec<Entry>, IndexError> {
        self.readers.read(move |db| rows::entries_with(db, block)).await
    }

    async fn list(
        &self,
        owner: Option<&[u8]>,
        after: Option<(&[u8], &[u8])>,
        limit: usize,
    ) -> Result<Vec<Entry>, IndexError> {
        let owner = owner.map(<[u8]>::to_vec);
        let after = after.map(|(owner, name)| (owner.to_vec(), name.to_vec()));
        self.readers.read(move |db| rows::list(db, owner.as_deref(), after, limit)).await
    }

    async fn totals(&self) -> Result<Totals, IndexError> {
        self.readers
            .read(|db| {
                let mut sum = db.prepare_cached("SELECT value FROM state WHERE key = ?")?;
                let mut sum = |name| sum.query_row([name], |row| Ok(row.get::<_, i64>(0)?.cast_unsigned()));
                let (entries, bytes) = (sum("entries")?, sum("bytes")?);
                let uploads: i64 = db.query_row("SELECT count(*) FROM uploads", [], |row| row.get(0))?;
                Ok(Totals { entries, bytes, uploads: uploads.cast_unsigned() })
            })
            .await
    }
}

#[async_trait]
impl References for SqliteIndex {
    async fn referenced(&self, blocks: &[BlockHash]) -> Result<Vec<BlockHash>, IndexError> {
        let (blocks, clock) = (blocks.to_vec(), Arc::clone(&self.clock));
        self.readers
            .read(move |db| {
                let now = clock.wall();
                let mut referenced = Vec::new();
                for block in blocks {
                    if rows::is_referenced(db, block, now)? {
                        referenced.push(block);
                    }
                }
                Ok(referenced)
            })
            .await
    }

    async fn lease(&self, blocks: &[BlockHash], until: SystemTime) -> Result<(), IndexError> {
        let blocks = blocks.to_vec();
        self.writer.write(move |db| rows::lease(db, &blocks, until)).await
    }

    async fn forget_leases(&self, now: SystemTime) -> Result<(), IndexError> {
        self.writer
            .write(move |db| db.execute("DELETE FROM leases WHERE until <= ?", [rows::nanos(now)]).map(drop))
            .await
    }
}

#[async_trait]
impl Uploads for SqliteIndex {
    async fn upload(&self, owner: &[u8], name: &[u8]) -> Result<Vec<Block>, IndexError> {
        let (owner, name) = (owner.to_vec(), name.to_vec());
        self.readers.read(move |db| rows::upload(db, &owner, &name)).await
    }

    async fn record_upload(&self, owner: &[u8], name: &[u8], blocks: &[Block]) -> Result<(), IndexError> {
        let (owner, name, blocks) = (owner.to_vec(), name.to_vec(), blocks.to_vec());
        let clock = Arc::clone(&self.clock);
        self.writer.write(move |db| rows::record_upload(db, &owner, &name, &blocks, clock.wall())).await
    }

    async fn forget_upload(&self, owner: &[u8], name: &[u8], deadline: SystemTime) -> Result<Vec<Block>, IndexError> {
        let (owner, name, clock) = (owner.to_vec(), name.to_vec(), Arc::clone(&self.clock));
        self.writer
            .write(move |db| {
                let lost = rows::take_upload(db, &owner, &name)?;
                rows::note_unreferenced(db, lost, deadline, clock.wall())
            })
            .await
    }

    async fn stale_uploads(&self, before: SystemTime, limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>, IndexError> {
        self.readers
            .read(move |db| {
                let mut query = db.prepare_cached("SELECT owner, name FROM uploads WHERE updated < ? LIMIT ?")?;
                let found = query
                    .query_map(params![rows::nanos(before), limit as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
                found.collect()
            })
            .await
    }
}

#[async_trait]
impl Deadlines for SqliteIndex {
    async fn due(&self, now: SystemTime, limit: usize) -> Result<Vec<BlockHash>, IndexError> {
        self.readers
            .read(move |db| {
                let mut query = db.prepare_cached("SELECT block FROM due WHERE deadline <= ? LIMIT ?")?;
                let found = query.query_map(params![rows::nanos(now), limit as i64], |row| {
                    Ok(BlockHash::from(row.get::<_, [u8; 16]>(0)?))
                })?;
                found.collect()
            })
            .await
    }

    async fn forget_due(&self, blocks: &[BlockHash], now: SystemTime) -> Result<(), IndexError> {
        let blocks = blocks.to_vec();
        self.writer
            .write_soon(move |db| {
                let mut delete = db.prepare_cached("DELETE FROM due WHERE block = ? AND deadline <= ?")?;
                blocks
                    .iter()
                    .try_for_each(|block| delete.execute(params![block.as_bytes(), rows::nanos(now)]).map(drop))
            })
            .await
    }
}

#[async_trait]
impl Rebuilding for SqliteIndex {
    async fn set_complete(&self, complete: bool) -> Result<(), IndexError> {
        self.writer.write(move |db| open::set_complete(db, complete)).await
    }

    async fn retain(&self, keep: Box<dyn Fn(BlockHash) -> bool + Send>, before: SystemTime) -> Result<u64, IndexError> {
        self.writer.write(move |db| rows::retain(db, &*keep, before)).await
    }
}

impl From<Arc<SqliteIndex>> for IndexParts {
    fn from(index: Arc<SqliteIndex>) -> Self {
        let (holding, here) = (Arc::clone(&index), Arc::clone(&index));
        Self { index, holding: Some(holding), here: Some(here) }
    }
}

impl From<SqliteIndex> for IndexParts {
    fn from(index: SqliteIndex) -> Self {
        Arc::new(index).into()
    }
}

#[cfg(test)]
mod tests;
