//! A database in a file: SQLite, used by several processes of one machine at once.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use keep_store::base::task::blocking;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, ToSql, TransactionBehavior, ffi};

use super::{Database, DatabaseError, Dialect, Row, Statement, Value};

/// A file of SQLite. Cloning is cheap.
#[derive(Clone)]
pub struct Sqlite(Arc<Inner>);

struct Inner {
    name: String,
    writer: Mutex<Connection>,
    /// A connection of its own, so that reads do not wait for writes that wait for the disk.
    reader: Mutex<Connection>,
}

/// How long a transaction waits for those of other processes.
const BUSY: Duration = Duration::from_secs(60);

impl Sqlite {
    /// Opens a file, or makes it.
    pub async fn open(path: &Path) -> Result<Self, DatabaseError> {
        let path = path.to_owned();
        blocking(move || {
            let name = path.display().to_string();
            let opened = connect(&path).and_then(|writer| Ok((writer, connect(&path)?)));
            let (writer, reader) = opened.map_err(|error| failure(&name, &error))?;
            Ok(Self(Arc::new(Inner { name, writer: Mutex::new(writer), reader: Mutex::new(reader) })))
        })
        .await
    }

    /// Runs `work` in a write transaction.
    async fn transaction(
        &self,
        work: impl FnOnce(&Connection) -> Result<(), Broken> + Send + 'static,
    ) -> Result<(), DatabaseError> {
        let inner = Arc::clone(&self.0);
        blocking(move || {
            let mut connection = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
            let run = || {
                let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                work(&transaction)?;
                Ok(transaction.commit()?)
            };
            run().map_err(|broken| match broken {
                Broken::Stale => DatabaseError::Stale,
                Broken::Newer => newer(&inner.name),
                Broken::Sql(error) => failure(&inner.name, &error),
            })
        })
        .await
    }
}

/// Why a transaction was given up.
enum Broken {
    Stale,
    Newer,
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for Broken {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

#[async_trait]
impl Database for Sqlite {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    async fn migrate(&self, steps: &[&str]) -> Result<(), DatabaseError> {
        let steps: Vec<String> = steps.iter().map(|step| (*step).to_owned()).collect();
        self.transaction(move |connection| {
            let have: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            for step in steps.get(have..).ok_or(Broken::Newer)? {
                connection.execute_batch(step)?;
            }
            Ok(connection.pragma_update(None, "user_version", steps.len())?)
        })
        .await
    }

    async fn query(&self, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        let inner = Arc::clone(&self.0);
        blocking(move || {
            let connection = inner.reader.lock().unwrap_or_else(PoisonError::into_inner);
            query(&connection, &statement).map_err(|error| failure(&inner.name, &error))
        })
        .await
    }

    async fn write(&self, statements: Vec<Statement>) -> Result<(), DatabaseError> {
        self.transaction(move |connection| {
            for statement in &statements {
                let mut prepared = bound(connection, statement)?;
                if prepared.raw_execute()? == 0 && statement.must_change {
                    return Err(Broken::Stale);
                }
            }
            Ok(())
        })
        .await
    }
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // As PostgreSQL has it.
    connection.pragma_update(None, "case_sensitive_like", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn query(connection: &Connection, statement: &Statement) -> Result<Vec<Row>, rusqlite::Error> {
    let mut prepared = bound(connection, statement)?;
    let columns = prepared.column_count();
    let mut rows = prepared.raw_query();
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let value = |index| {
            Ok(match row.get_ref(index)? {
                ValueRef::Integer(number) => Value::Integer(number),
                ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
                _ => Value::Null,
            })
        };
        found.push(Row::new((0..columns).map(value).collect::<Result<_, rusqlite::Error>>()?));
    }
    Ok(found)
}

fn bound<'a>(
    connection: &'a Connection,
    statement: &Statement,
) -> Result<rusqlite::CachedStatement<'a>, rusqlite::Error> {
    let mut prepared = connection.prepare_cached(&statement.sql)?;
    for (index, value) in statement.values.iter().enumerate() {
        if let Some(place) = prepared.parameter_index(&format!("${}", index + 1))? {
            prepared.raw_bind_parameter(place, value)?;
        }
    }
    Ok(prepared)
}

impl ToSql for Value {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>, rusqlite::Error> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Integer(number) => ValueRef::Integer(*number),
        }))
    }
}

fn failure(name: &str, error: &rusqlite::Error) -> DatabaseError {
    let (name, cause) = (name.to_owned(), error.to_string());
    match error {
        rusqlite::Error::SqliteFailure(code, _) => match (code.code, code.extended_code) {
            (_, ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => DatabaseError::Duplicate,
            (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::CannotOpen | ErrorCode::DiskFull, _) => {
                DatabaseError::Unreachable { name, cause }
            }
            _ => DatabaseError::Failed { name, cause },
        },
        _ => DatabaseError::Failed { name, cause },
    }
}

fn newer(name: &str) -> DatabaseError {
    DatabaseError::Failed { name: name.to_owned(), cause: "made by a newer version of annex-keep".to_owned() }
}
