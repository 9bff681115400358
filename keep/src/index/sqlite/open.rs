//! Opens the database, and makes it.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::index::IndexError;

/// What opening does about a database that is missing or incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The store is new: an empty index is the truth.
    Create,
    /// The index must be there and complete.
    Use,
    /// It is going to be rebuilt: one that is missing or damaged is begun anew, and marked incomplete.
    Rebuild,
}

const FORMAT: i64 = 2;

/// How long a call waits for other processes. Their transactions take milliseconds; a stuck one should be seen.
const PATIENCE: Duration = Duration::from_secs(120);

const SCHEMA: &str = "
CREATE TABLE state (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE entries (
    id INTEGER PRIMARY KEY,
    owner BLOB NOT NULL,
    name BLOB NOT NULL,
    size INTEGER NOT NULL,
    manifest BLOB NOT NULL,     -- hash, then size as four bytes
    blocks BLOB NOT NULL,       -- the same, for each block
    stored INTEGER NOT NULL,    -- nanoseconds since 1970
    UNIQUE (owner, name)
);
CREATE TABLE refs (
    block BLOB NOT NULL,
    entry INTEGER NOT NULL REFERENCES entries (id),
    PRIMARY KEY (block, entry)
) WITHOUT ROWID;
CREATE TABLE uploads (
    id INTEGER PRIMARY KEY,
    owner BLOB NOT NULL,
    name BLOB NOT NULL,
    blocks BLOB NOT NULL,
    updated INTEGER NOT NULL,
    UNIQUE (owner, name)
);
CREATE TABLE upload_refs (
    block BLOB NOT NULL,
    upload INTEGER NOT NULL REFERENCES uploads (id),
    PRIMARY KEY (block, upload)
) WITHOUT ROWID;
CREATE TABLE due (block BLOB PRIMARY KEY, deadline INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX due_deadline ON due (deadline);
";

/// Sums over all entries, kept current by the database itself: counting a large store takes too long to do it often.
const SUMS: &str = "
CREATE TRIGGER IF NOT EXISTS entries_come AFTER INSERT ON entries BEGIN
    UPDATE state SET value = value + 1 WHERE key = 'entries';
    UPDATE state SET value = value + new.size WHERE key = 'bytes';
END;
CREATE TRIGGER IF NOT EXISTS entries_go AFTER DELETE ON entries BEGIN
    UPDATE state SET value = value - 1 WHERE key = 'entries';
    UPDATE state SET value = value - old.size WHERE key = 'bytes';
END;
INSERT INTO state SELECT 'entries', count(*) FROM entries;
INSERT INTO state SELECT 'bytes', coalesce(sum(size), 0) FROM entries;
";

/// What format 2 has besides format 1.
const LEASES: &str = "
CREATE TABLE leases (block BLOB PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX leases_until ON leases (until);
";

/// Opens the writing connection.
pub(super) fn open(path: &Path, mode: Mode) -> Result<Connection, IndexError> {
    if mode == Mode::Use && !path.exists() {
        return Err(IndexError::Missing { path: path.to_path_buf() });
    }
    let opened = prepare(path, mode);
    match (opened, mode) {
        (Err(IndexError::Damaged { reason, .. }), Mode::Rebuild) => {
            tracing::warn!(index = %path.display(), reason, "damaged index set aside");
            set_aside(path)?;
            prepare(path, mode)
        }
        (opened, _) => opened,
    }
}

/// Opens a connection that only reads.
pub(super) fn reader(path: &Path) -> Result<Connection, IndexError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    };
    open().map_err(|error| failure(path, &error))
}

pub(super) fn set_complete(db: &Connection, complete: bool) -> rusqlite::Result<()> {
    db.execute("INSERT OR REPLACE INTO state VALUES ('complete', ?)", [i64::from(complete)]).map(drop)
}

/// Says what an error of the database means.
pub(super) fn failure(path: &Path, error: &rusqlite::Error) -> IndexError {
    let (path, reason) = (path.to_path_buf(), error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => IndexError::Full { path },
        Some(ErrorCode::CannotOpen) if !path.exists() => IndexError::Missing { path },
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            IndexError::Unwritable { path, reason }
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => IndexError::Damaged { path, reason },
        _ => IndexError::Failed { path, reason },
    }
}

fn prepare(path: &Path, mode: Mode) -> Result<Connection, IndexError> {
    let fail = |error: rusqlite::Error| failure(path, &error);
    let mut db = Connection::open(path).map_err(fail)?;
    db.busy_timeout(PATIENCE).map_err(fail)?;
    db.set_prepared_statement_cache_capacity(64);
    // Two processes that turn the log on at once: one is told "busy" without waiting.
    let mut tries = 0;
    while let Err(error) = db.pragma_update(None, "journal_mode", "wal") {
        tries += 1;
        if error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) || tries > 500 {
            return Err(fail(error));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    db.pragma_update(None, "synchronous", "full").map_err(fail)?;
    // Each deletion would look through all references for those to it: rows are deleted with them, in one transaction.
    db.pragma_update(None, "foreign_keys", false).map_err(fail)?;
    let format = schema(&mut db, mode).map_err(fail)?;
    if format != FORMAT {
        return Err(IndexError::Format { path: path.to_path_buf(), found: format, known: FORMAT });
    }
    // Tables that came later, and that programs before them can do without.
    db.execute_batch(super::held::TABLE).map_err(fail)?;
    db.execute_batch(super::signatures::TABLE).map_err(fail)?;
    sums(&mut db).map_err(fail)?;
    let complete =
        db.query_row("SELECT value FROM state WHERE key = 'complete'", [], |row| row.get(0)).map_err(fail)?;
    match (complete, mode) {
        (0, Mode::Create | Mode::Use) => Err(IndexError::Incomplete { path: path.to_path_buf() }),
        _ => Ok(db),
    }
}

/// Makes the tables that are not there; returns the format.
fn schema(db: &mut Connection, mode: Mode) -> rusqlite::Result<i64> {
    let version = |db: &Connection| db.query_row("PRAGMA user_version", [], |row| row.get(0));
    let found = version(db)?;
    if found != 0 && found != 1 {
        return Ok(found);
    }
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been here since.
    let found = version(&transaction)?;
    if found == 0 {
        transaction.execute_batch(SCHEMA)?;
        set_complete(&transaction, mode == Mode::Create)?;
    }
    if found < FORMAT {
        transaction.execute_batch(LEASES)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
    }
    transaction.commit()?;
    version(db)
}

/// Begins to keep the sums, if that is not done yet.
fn sums(db: &mut Connection) -> rusqlite::Result<()> {
    let kept = |db: &Connection| db.prepare("SELECT 1 FROM state WHERE key = 'bytes'")?.exists([]);
    if kept(db)? {
        return Ok(());
    }
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been here since.
    if !kept(&transaction)? {
        transaction.execute_batch(SUMS)?;
    }
    transaction.commit()
}

/// Moves a database out of the way, with its log.
fn set_aside(path: &Path) -> Result<(), IndexError> {
    for suffix in ["", "-wal", "-shm"] {
        let mut from = path.as_os_str().to_owned();
        from.push(suffix);
        let mut to = path.as_os_str().to_owned();
        to.push(".damaged");
        to.push(suffix);
        match std::fs::rename(&from, &to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(IndexError::Unwritable { path: path.to_path_buf(), reason: error.to_string() });
            }
            _ => {}
        }
    }
    Ok(())
}
