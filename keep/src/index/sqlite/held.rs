//! The bytes of small blocks, until the store has made them durable.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::types::Type;
use rusqlite::{Connection, Error, OptionalExtension, Result, Row, params};

use super::{SqliteIndex, rows};
use crate::index::{Entry, Held, Holding, IndexError, Number};
use crate::store::Block;

/// Numbers are never used again: what another process releases late is not somebody else's by then.
pub(super) const TABLE: &str = "
CREATE TABLE IF NOT EXISTS held (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    block BLOB NOT NULL,        -- hash, then size as four bytes
    since INTEGER NOT NULL,     -- nanoseconds since 1970
    bytes BLOB NOT NULL
);
";

#[async_trait]
impl Holding for SqliteIndex {
    async fn put_holding(
        &self,
        entry: Entry,
        blocks: Vec<(Block, Bytes)>,
        deadline: SystemTime,
    ) -> std::result::Result<(Vec<Block>, Vec<Number>), IndexError> {
        let clock = Arc::clone(&self.clock);
        self.writer
            .write(move |db| {
                let now = clock.wall();
                let unreferenced = rows::put(db, &entry, deadline, now)?;
                let now = rows::nanos(now);
                let mut insert = db.prepare_cached("INSERT INTO held (block, since, bytes) VALUES (?, ?, ?)")?;
                let numbers = blocks
                    .iter()
                    .map(|(block, bytes)| insert.insert(params![rows::to_bytes(&[*block]), now, bytes.as_ref()]));
                Ok((unreferenced, numbers.collect::<Result<_>>()?))
            })
            .await
    }

    async fn held(&self, before: SystemTime, limit: usize) -> std::result::Result<Vec<Held>, IndexError> {
        self.readers
            .read(move |db| {
                let select = "SELECT number, block, bytes FROM held WHERE since < ? ORDER BY number LIMIT ?";
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                db.prepare_cached(select)?.query_map(params![rows::nanos(before), limit], read_held)?.collect()
            })
            .await
    }

    async fn held_block(&self, block: Block) -> std::result::Result<Option<Bytes>, IndexError> {
        self.readers
            .read(move |db| {
                let mut query = db.prepare_cached("SELECT bytes FROM held WHERE block = ? LIMIT 1")?;
                let bytes = query.query_row([rows::to_bytes(&[block])], |row| row.get::<_, Vec<u8>>(0)).optional()?;
                Ok(bytes.map(Bytes::from))
            })
            .await
    }

    async fn release(&self, numbers: Vec<Number>) -> std::result::Result<(), IndexError> {
        self.writer.write_soon(move |db| release(db, &numbers)).await
    }
}

fn release(db: &Connection, numbers: &[Number]) -> Result<()> {
    let mut delete = db.prepare_cached("DELETE FROM held WHERE number = ?")?;
    numbers.iter().try_for_each(|number| delete.execute([number]).map(drop))
}

fn read_held(row: &Row<'_>) -> Result<Held> {
    let bad = || Error::FromSqlConversionFailure(1, Type::Blob, "not a block".into());
    let block = rows::from_bytes(row, 1)?.first().copied().ok_or_else(bad)?;
    Ok(Held { number: row.get(0)?, block, bytes: row.get::<_, Vec<u8>>(2)?.into() })
}
