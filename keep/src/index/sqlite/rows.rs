//! The statements.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use annex_protocol::keep::BlockHash;
use rusqlite::types::Type;
use rusqlite::{Connection, Error, OptionalExtension, Result, Row, params};

use crate::index::Entry;
use crate::store::Block;

const COLUMNS: &str = "owner, name, size, manifest, blocks, stored";

/// Bytes of one block in a row: hash, then size as four bytes, most significant first.
const BLOCK: usize = 20;

pub(super) fn entry(db: &Connection, owner: &[u8], name: &[u8]) -> Result<Option<Entry>> {
    let mut query = db.prepare_cached(&format!("SELECT {COLUMNS} FROM entries WHERE owner = ? AND name = ?"))?;
    query.query_row(params![owner, name], read_entry).optional()
}

pub(super) fn entries_with(db: &Connection, block: BlockHash) -> Result<Vec<Entry>> {
    let sql = format!("SELECT {COLUMNS} FROM entries WHERE id IN (SELECT entry FROM refs WHERE block = ?)");
    db.prepare_cached(&sql)?.query_map([block.as_bytes()], read_entry)?.collect()
}

pub(super) fn list(
    db: &Connection,
    owner: Option<&[u8]>,
    after: Option<(Vec<u8>, Vec<u8>)>,
    limit: usize,
) -> Result<Vec<Entry>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let (after_owner, after_name) = after.unwrap_or_default();
    match owner {
        Some(owner) => {
            let after_name = if after_owner == owner { after_name } else { Vec::new() };
            let sql =
                format!("SELECT {COLUMNS} FROM entries WHERE owner = ? AND name > ? ORDER BY owner, name LIMIT ?");
            db.prepare_cached(&sql)?.query_map(params![owner, after_name, limit], read_entry)?.collect()
        }
        None => {
            let sql =
                format!("SELECT {COLUMNS} FROM entries WHERE (owner, name) > (?, ?) ORDER BY owner, name LIMIT ?");
            db.prepare_cached(&sql)?.query_map(params![after_owner, after_name, limit], read_entry)?.collect()
        }
    }
}

/// Records an entry in place of another one of its name; see [`crate::index::Entries::put`].
pub(super) fn put(db: &Connection, entry: &Entry, deadline: SystemTime, now: SystemTime) -> Result<Vec<Block>> {
    let mut lost = take_entry(db, &entry.owner, &entry.name)?.unwrap_or_default();
    lost.extend(take_upload(db, &entry.owner, &entry.name)?);
    add_entry(db, entry)?;
    note_unreferenced(db, lost, deadline, now)
}

fn add_entry(db: &Connection, entry: &Entry) -> Result<()> {
    db.prepare_cached(&format!("INSERT INTO entries ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"))?.execute(params![
        entry.owner,
        entry.name,
        entry.size.cast_signed(),
        to_bytes(&[entry.manifest]),
        to_bytes(&entry.blocks),
        nanos(entry.stored),
    ])?;
    let id = db.last_insert_rowid();
    let mut insert = db.prepare_cached("INSERT OR IGNORE INTO refs VALUES (?, ?)")?;
    for block in entry.blocks.iter().chain([&entry.manifest]) {
        insert.execute(params![block.hash.as_bytes(), id])?;
    }
    Ok(())
}

/// Takes an entry out; returns the blocks it referred to.
pub(super) fn take_entry(db: &Connection, owner: &[u8], name: &[u8]) -> Result<Option<Vec<Block>>> {
    let mut query = db.prepare_cached("SELECT id, manifest, blocks FROM entries WHERE owner = ? AND name = ?")?;
    let found = query.query_row(params![owner, name], |row| {
        let mut blocks = from_bytes(row, 2)?;
        blocks.extend(from_bytes(row, 1)?);
        Ok((row.get(0)?, blocks))
    });
    let Some((id, blocks)) = found.optional()? else { return Ok(None) };
    delete_entry(db, id, &blocks)?;
    Ok(Some(blocks))
}

/// Deletes entries recorded before `before` whose manifest is not to be kept.
pub(super) fn retain(db: &Connection, keep: &dyn Fn(BlockHash) -> bool, before: SystemTime) -> Result<u64> {
    let mut query = db.prepare_cached("SELECT id, manifest, blocks FROM entries WHERE stored < ?")?;
    let mut rows = query.query([nanos(before)])?;
    let mut gone = Vec::new();
    while let Some(row) = rows.next()? {
        let manifest = from_bytes(row, 1)?;
        if !manifest.iter().all(|block| keep(block.hash)) {
            gone.push((row.get(0)?, from_bytes(row, 2)?.into_iter().chain(manifest).collect::<Vec<_>>()));
        }
    }
    for (id, blocks) in &gone {
        delete_entry(db, *id, blocks)?;
    }
    Ok(gone.len() as u64)
}

/// Tells whether an entry, an unfinished upload, or a lease that has not ended at `now` refers to a block.
pub(super) fn is_referenced(db: &Connection, block: BlockHash, now: SystemTime) -> Result<bool> {
    db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM refs WHERE block = ?1) OR EXISTS (SELECT 1 FROM upload_refs WHERE block = ?1)
            OR EXISTS (SELECT 1 FROM leases WHERE block = ?1 AND until > ?2)",
    )?
    .query_row(params![block.as_bytes(), nanos(now)], |row| row.get(0))
}

pub(super) fn lease(db: &Connection, blocks: &[BlockHash], until: SystemTime) -> Result<()> {
    let mut upsert = db.prepare_cached(
        "INSERT INTO leases VALUES (?1, ?2) ON CONFLICT (block) DO UPDATE SET until = max(until, ?2)",
    )?;
    blocks.iter().try_for_each(|block| upsert.execute(params![block.as_bytes(), nanos(until)]).map(drop))
}

/// Notes those of `blocks` that nothing refers to as due at `deadline`, and returns them.
pub(super) fn note_unreferenced(
    db: &Connection,
    blocks: Vec<Block>,
    deadline: SystemTime,
    now: SystemTime,
) -> Result<Vec<Block>> {
    let mut unreferenced = Vec::new();
    for block in BTreeSet::from_iter(blocks) {
        if !is_referenced(db, block.hash, now)? {
            db.prepare_cached("INSERT OR REPLACE INTO due VALUES (?, ?)")?
                .execute(params![block.hash.as_bytes(), nanos(deadline)])?;
            unreferenced.push(block);
        }
    }
    Ok(unreferenced)
}

pub(super) fn upload(db: &Connection, owner: &[u8], name: &[u8]) -> Result<Vec<Block>> {
    let mut query = db.prepare_cached("SELECT blocks FROM uploads WHERE owner = ? AND name = ?")?;
    Ok(query.query_row(params![owner, name], |row| from_bytes(row, 0)).optional()?.unwrap_or_default())
}

pub(super) fn record_upload(
    db: &Connection,
    owner: &[u8],
    name: &[u8],
    blocks: &[Block],
    now: SystemTime,
) -> Result<()> {
    let size = |blocks: &[Block]| blocks.iter().map(|block| u64::from(block.size)).sum::<u64>();
    if size(&upload(db, owner, name)?) > size(blocks) {
        return Ok(());
    }
    take_upload(db, owner, name)?;
    db.prepare_cached("INSERT INTO uploads (owner, name, blocks, updated) VALUES (?, ?, ?, ?)")?.execute(params![
        owner,
        name,
        to_bytes(blocks),
        nanos(now)
    ])?;
    let id = db.last_insert_rowid();
    let mut insert = db.prepare_cached("INSERT OR IGNORE INTO upload_refs VALUES (?, ?)")?;
    blocks.iter().try_for_each(|block| insert.execute(params![block.hash.as_bytes(), id]).map(drop))
}

/// Takes an unfinished upload out; returns the blocks it referred to.
pub(super) fn take_upload(db: &Connection, owner: &[u8], name: &[u8]) -> Result<Vec<Block>> {
    let mut query = db.prepare_cached("SELECT id, blocks FROM uploads WHERE owner = ? AND name = ?")?;
    let found = query.query_row(params![owner, name], |row| Ok((row.get::<_, i64>(0)?, from_bytes(row, 1)?)));
    let Some((id, blocks)) = found.optional()? else { return Ok(Vec::new()) };
    let mut delete = db.prepare_cached("DELETE FROM upload_refs WHERE block = ? AND upload = ?")?;
    for block in &blocks {
        delete.execute(params![block.hash.as_bytes(), id])?;
    }
    db.prepare_cached("DELETE FROM uploads WHERE id = ?")?.execute([id])?;
    Ok(blocks)
}

/// Nanoseconds since 1970, as rows hold times.
pub(super) fn nanos(time: SystemTime) -> i64 {
    i64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()).unwrap_or(i64::MAX)
}

fn delete_entry(db: &Connection, id: i64, blocks: &[Block]) -> Result<()> {
    let mut delete = db.prepare_cached("DELETE FROM refs WHERE block = ? AND entry = ?")?;
    for block in blocks {
        delete.execute(params![block.hash.as_bytes(), id])?;
    }
    db.prepare_cached("DELETE FROM entries WHERE id = ?")?.execute([id]).map(drop)
}

fn read_entry(row: &Row<'_>) -> Result<Entry> {
    let manifest = from_bytes(row, 3)?;
    let manifest = manifest.first().copied().ok_or_else(|| bad(3))?;
    let stored = UNIX_EPOCH + Duration::from_nanos(row.get::<_, i64>(5)?.max(0).cast_unsigned());
    let size = row.get::<_, i64>(2)?.cast_unsigned();
    Ok(Entry { owner: row.get(0)?, name: row.get(1)?, size, manifest, blocks: from_bytes(row, 4)?, stored })
}

pub(super) fn to_bytes(blocks: &[Block]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(blocks.len() * BLOCK);
    for block in blocks {
        bytes.extend_from_slice(block.hash.as_bytes());
        bytes.extend_from_slice(&block.size.to_be_bytes());
    }
    bytes
}

pub(super) fn from_bytes(row: &Row<'_>, column: usize) -> Result<Vec<Block>> {
    let bytes = row.get_ref(column)?.as_blob()?;
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    if !rest.is_empty() {
        return Err(bad(column));
    }
    let parse = |bytes: &[u8; BLOCK]| {
        let (hash, size) = bytes.split_first_chunk::<16>().ok_or_else(|| bad(column))?;
        let size = size.try_into().map(u32::from_be_bytes).map_err(|_| bad(column))?;
        Ok(Block { hash: BlockHash::from(*hash), size })
    };
    blocks.iter().map(parse).collect()
}

fn bad(column: usize) -> Error {
    Error::FromSqlConversionFailure(column, Type::Blob, "not a list of blocks".into())
}
