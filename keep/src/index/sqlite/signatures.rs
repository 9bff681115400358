//! The signed locators of blocks on servers.

use std::sync::Arc;
use std::time::SystemTime;

use annex_protocol::keep::{BlockHash, Locator};
use async_trait::async_trait;
use rusqlite::{OptionalExtension, params};

use super::{SqliteIndex, rows};
use crate::index::{IndexError, Signatures};

/// Locators are replaced as blocks are stored again: the newest signature lasts longest.
pub(super) const TABLE: &str = "
CREATE TABLE IF NOT EXISTS signatures (
    block BLOB PRIMARY KEY,
    locator TEXT NOT NULL,
    noted INTEGER NOT NULL      -- nanoseconds since 1970
) WITHOUT ROWID;
";

#[async_trait]
impl Signatures for SqliteIndex {
    async fn note(&self, locators: Vec<Locator>) -> Result<(), IndexError> {
        let clock = Arc::clone(&self.clock);
        self.writer
            .write(move |db| {
                let now = rows::nanos(clock.wall());
                let mut insert = db.prepare_cached("INSERT OR REPLACE INTO signatures VALUES (?, ?, ?)")?;
                locators.iter().try_for_each(|locator| {
                    insert.execute(params![locator.hash().as_bytes(), locator.to_string(), now]).map(drop)
                })
            })
            .await
    }

    async fn noted(&self, blocks: Vec<BlockHash>) -> Result<Vec<Locator>, IndexError> {
        let texts = self.readers.read(move |db| {
            let mut query = db.prepare_cached("SELECT locator FROM signatures WHERE block = ?")?;
            let found = blocks.iter().filter_map(|block| {
                query.query_row([block.as_bytes()], |row| row.get::<_, String>(0)).optional().transpose()
            });
            found.collect::<rusqlite::Result<Vec<_>>>()
        });
        // What another version of the program wrote is ignored.
        Ok(texts.await?.iter().filter_map(|text| Locator::parse(text.as_bytes()).ok()).collect())
    }

    async fn forget_unneeded(&self, before: SystemTime) -> Result<(), IndexError> {
        self.writer
            .write(move |db| {
                let delete = "DELETE FROM signatures WHERE noted < ?
                    AND NOT EXISTS (SELECT 1 FROM refs WHERE refs.block = signatures.block)
                    AND NOT EXISTS (SELECT 1 FROM upload_refs WHERE upload_refs.block = signatures.block)";
                db.execute(delete, [rows::nanos(before)]).map(drop)
            })
            .await
    }
}
