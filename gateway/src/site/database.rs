//! `site.db`: SQLite, used by several processes at once. The only place of a site that names SQLite.
//!
//! The files beside this one say in SQL what they want, and write values and rows as tuples.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{CachedStatement, Connection, ErrorCode, OptionalExtension, Row, TransactionBehavior};

use super::SiteError;

pub(super) struct Database {
    path: PathBuf,
    writer: Mutex<Connection>,
    /// Of its own, so that who only looks something up does not wait for the disk with those who write.
    reader: Mutex<Connection>,
}

/// What SQLite said.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SqlError(#[from] rusqlite::Error);

impl SqlError {
    /// Tells whether others kept the database busy for too long: the same may go well in a moment.
    pub fn is_busy(&self) -> bool {
        matches!(self.0.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
    }

    /// Tells whether the disk is full.
    pub fn is_full(&self) -> bool {
        self.0.sqlite_error_code() == Some(ErrorCode::DiskFull)
    }
}

/// An open database, in a transaction or for reading. It prepares each statement once and keeps it.
pub(super) struct Sql<'a>(&'a Connection);

/// The values of `?1`, `?2` and so on in a statement: an array or a tuple of numbers, texts, bytes and options of these.
pub(super) trait Values: rusqlite::Params {}

impl<T: rusqlite::Params> Values for T {}

/// The columns of a row, as a tuple.
pub(super) trait Columns: Sized {
    /// Reads them.
    fn of(row: &Row<'_>) -> rusqlite::Result<Self>;
}

impl<T: for<'a> TryFrom<&'a Row<'a>, Error = rusqlite::Error>> Columns for T {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Self::try_from(row)
    }
}

const BUSY: Duration = Duration::from_secs(60);

/// One version of the tables after the other; a database remembers in `user_version` how far it came.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE user (name TEXT PRIMARY KEY, role TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE user_key (
        user TEXT NOT NULL REFERENCES user (name) ON DELETE CASCADE,
        algorithm TEXT NOT NULL, key TEXT NOT NULL, comment TEXT NOT NULL,
        PRIMARY KEY (algorithm, key)) WITHOUT ROWID;
    CREATE TABLE user_role (
        user TEXT NOT NULL REFERENCES user (name) ON DELETE CASCADE,
        repo TEXT NOT NULL, role TEXT NOT NULL,
        PRIMARY KEY (user, repo)) WITHOUT ROWID;
    CREATE TABLE content_lock (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        node BLOB NOT NULL, key BLOB NOT NULL, deadline INTEGER NOT NULL);
    CREATE INDEX content_lock_key ON content_lock (key, node);
    CREATE TABLE removal (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        node BLOB NOT NULL, key BLOB NOT NULL, deadline INTEGER NOT NULL);
    CREATE INDEX removal_key ON removal (key, node);
    CREATE TABLE time (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        boot TEXT NOT NULL, base INTEGER NOT NULL, last INTEGER NOT NULL);
",
    "
    ALTER TABLE user ADD COLUMN password TEXT;
    CREATE TABLE token (
        id TEXT PRIMARY KEY,
        user TEXT NOT NULL REFERENCES user (name) ON DELETE CASCADE,
        secret BLOB NOT NULL, created INTEGER NOT NULL, expires INTEGER) WITHOUT ROWID;
    CREATE TABLE repo_setting (repo TEXT PRIMARY KEY, anonymous TEXT) WITHOUT ROWID;
    ALTER TABLE content_lock ADD COLUMN name TEXT;
    CREATE UNIQUE INDEX content_lock_name ON content_lock (name) WHERE name IS NOT NULL;
",
    "
    CREATE TABLE repair (
        gateway BLOB NOT NULL, key BLOB NOT NULL, file BLOB NOT NULL,
        cause TEXT NOT NULL, tries INTEGER NOT NULL, due INTEGER NOT NULL,
        PRIMARY KEY (gateway, key)) WITHOUT ROWID;
    CREATE INDEX repair_due ON repair (due);
",
    "
    CREATE TABLE room (
        node BLOB NOT NULL, key BLOB NOT NULL, repo BLOB NOT NULL,
        number INTEGER NOT NULL, bytes INTEGER NOT NULL, deadline INTEGER NOT NULL,
        PRIMARY KEY (node, key)) WITHOUT ROWID;
",
    "
    ALTER TABLE room ADD COLUMN name TEXT NOT NULL DEFAULT '';
    ALTER TABLE room ADD COLUMN place TEXT NOT NULL DEFAULT '';
    ALTER TABLE room ADD COLUMN rest INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE room ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
",
    "
    ALTER TABLE repair ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE scrub (
        node BLOB NOT NULL, key BLOB NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (node, key)) WITHOUT ROWID;
    CREATE INDEX scrub_at ON scrub (at);
",
    "
    CREATE TABLE known (
        node BLOB NOT NULL, key BLOB NOT NULL, at INTEGER NOT NULL, removed INTEGER NOT NULL,
        PRIMARY KEY (node, key)) WITHOUT ROWID;
    CREATE INDEX known_removed ON known (at) WHERE removed = 1;
",
    // What is under way is summed up as it changes: looking through all of it at each upload took longer than the upload.
    // The sums are looked through, so there are none of what is over.
    "
    DROP TABLE room;
    CREATE TABLE room (
        key BLOB NOT NULL, node BLOB NOT NULL, repo BLOB NOT NULL, number INTEGER NOT NULL, deadline INTEGER NOT NULL,
        name TEXT NOT NULL, place TEXT NOT NULL, bytes INTEGER NOT NULL, rest INTEGER NOT NULL,
        PRIMARY KEY (key, node)) WITHOUT ROWID;
    CREATE INDEX room_number ON room (repo, number, bytes);
    CREATE INDEX room_deadline ON room (deadline);
    CREATE TABLE room_sum (
        node BLOB NOT NULL, name TEXT NOT NULL, place TEXT NOT NULL, bytes INTEGER NOT NULL, rest INTEGER NOT NULL,
        PRIMARY KEY (node, name, place)) WITHOUT ROWID;
    CREATE TRIGGER room_held AFTER INSERT ON room BEGIN
        INSERT INTO room_sum VALUES (NEW.node, NEW.name, NEW.place, NEW.bytes, NEW.rest)
        ON CONFLICT DO UPDATE SET bytes = bytes + NEW.bytes, rest = rest + NEW.rest;
    END;
    CREATE TRIGGER room_released AFTER DELETE ON room BEGIN
        UPDATE room_sum SET bytes = bytes - OLD.bytes, rest = rest - OLD.rest
        WHERE node = OLD.node AND name = OLD.name AND place = OLD.place;
        DELETE FROM room_sum
        WHERE node = OLD.node AND name = OLD.name AND place = OLD.place AND bytes = 0 AND rest = 0;
    END;
    CREATE TRIGGER room_changed AFTER UPDATE OF name, place, bytes, rest ON room BEGIN
        UPDATE room_sum SET bytes = bytes - OLD.bytes, rest = rest - OLD.rest
        WHERE node = OLD.node AND name = OLD.name AND place = OLD.place;
        DELETE FROM room_sum
        WHERE node = OLD.node AND name = OLD.name AND place = OLD.place AND bytes = 0 AND rest = 0;
        INSERT INTO room_sum VALUES (NEW.node, NEW.name, NEW.place, NEW.bytes, NEW.rest)
        ON CONFLICT DO UPDATE SET bytes = bytes + NEW.bytes, rest = rest + NEW.rest;
    END;
",
];

impl Database {
    pub(super) fn open(site: &Path) -> Result<Self, SiteError> {
        let path = site.join("site.db");
        let connect = || {
            let connection = Connection::open(&path)?;
            connection.busy_timeout(BUSY)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "foreign_keys", true)?;
            connection.set_prepared_statement_cache_capacity(64);
            Ok(Mutex::new(connection))
        };
        let fail = |source| SiteError::Database { path: path.clone(), source: SqlError(source) };
        let (writer, reader) = (connect().map_err(fail)?, connect().map_err(fail)?);
        let database = Self { path, writer, reader };
        database.migrate()?;
        Ok(database)
    }

    /// Runs `work` in a write transaction, which is durable when this returns; nothing is written if `work` refuses.
    pub(super) fn try_write<T>(
        &self,
        work: impl FnOnce(&Sql<'_>) -> Result<Result<T, SiteError>, SqlError>,
    ) -> Result<T, SiteError> {
        self.within("FULL", work)
    }

    /// Runs `work` in a write transaction, which is durable when this returns.
    pub(super) fn write<T>(&self, work: impl FnOnce(&Sql<'_>) -> Result<T, SqlError>) -> Result<T, SiteError> {
        self.try_write(|sql| work(sql).map(Ok))
    }

    /// Runs `work` in a write transaction that a crash of the machine may undo: for what is of no use after one.
    pub(super) fn write_fleeting<T>(&self, work: impl FnOnce(&Sql<'_>) -> Result<T, SqlError>) -> Result<T, SiteError> {
        self.within("NORMAL", |sql| work(sql).map(Ok))
    }

    /// Runs `work` in a transaction, which is undone if it refuses; `synchronous` is SQLite's word for what is synced.
    fn within<T>(
        &self,
        synchronous: &str,
        work: impl FnOnce(&Sql<'_>) -> Result<Result<T, SiteError>, SqlError>,
    ) -> Result<T, SiteError> {
        let mut connection = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let done = || -> Result<_, SqlError> {
            // Each time, so that no failure in between leaves the wrong one to the next.
            connection.pragma_update(None, "synchronous", synchronous)?;
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&Sql(&transaction))?;
            if value.is_ok() {
                transaction.commit()?;
            }
            Ok(value)
        };
        done().map_err(|source| self.failed(source))?
    }

    /// Runs `work`, which only reads.
    pub(super) fn read<T>(&self, work: impl FnOnce(&Sql<'_>) -> Result<T, SqlError>) -> Result<T, SiteError> {
        let connection = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        work(&Sql(&connection)).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: SqlError) -> SiteError {
        SiteError::Database { path: self.path.clone(), source }
    }

    fn migrate(&self) -> Result<(), SiteError> {
        let have = self.read(|sql| sql.version())?;
        if have > MIGRATIONS.len() {
            let path = self.path.display();
            return Err(SiteError::Invalid(format!("{path}: made by a newer version of annex-keep")));
        }
        if have == MIGRATIONS.len() {
            return Ok(());
        }
        self.write(|sql| {
            // Another process may have been here since.
            for step in MIGRATIONS.iter().skip(sql.version()?) {
                sql.0.execute_batch(step)?;
            }
            Ok(sql.0.pragma_update(None, "user_version", MIGRATIONS.len())?)
        })
    }
}

impl Sql<'_> {
    /// Runs a statement, and returns how many rows it changed.
    pub(super) fn change(&self, statement: &str, values: impl Values) -> Result<usize, SqlError> {
        Ok(self.prepare(statement)?.execute(values)?)
    }

    /// Adds a row, and returns its number.
    pub(super) fn add(&self, insert: &str, values: impl Values) -> Result<i64, SqlError> {
        self.change(insert, values)?;
        Ok(self.0.last_insert_rowid())
    }

    /// Returns the row of a query that always has one.
    pub(super) fn one<T: Columns>(&self, select: &str, values: impl Values) -> Result<T, SqlError> {
        Ok(self.prepare(select)?.query_row(values, T::of)?)
    }

    /// Returns the first row, if there is one.
    pub(super) fn first<T: Columns>(&self, select: &str, values: impl Values) -> Result<Option<T>, SqlError> {
        Ok(self.prepare(select)?.query_row(values, T::of).optional()?)
    }

    /// Returns all rows.
    pub(super) fn all<T: Columns>(&self, select: &str, values: impl Values) -> Result<Vec<T>, SqlError> {
        Ok(self.prepare(select)?.query_map(values, T::of)?.collect::<Result<_, _>>()?)
    }

    fn prepare(&self, statement: &str) -> Result<CachedStatement<'_>, SqlError> {
        Ok(self.0.prepare_cached(statement)?)
    }

    fn version(&self) -> Result<usize, SqlError> {
        Ok(self.0.pragma_query_value(None, "user_version", |row| row.get(0))?)
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn errors_tell_busy_and_full_from_the_rest() {
        let error = |code| SqlError(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        let told = |code| (error(code).is_busy(), error(code).is_full());
        assert_eq!(told(ffi::SQLITE_BUSY), (true, false));
        assert_eq!(told(ffi::SQLITE_LOCKED), (true, false));
        assert_eq!(told(ffi::SQLITE_FULL), (false, true));
        assert_eq!(told(ffi::SQLITE_CORRUPT), (false, false));
    }
}
