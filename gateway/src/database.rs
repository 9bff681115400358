//! The port `Database`: statements of SQL in short transactions, for tables that several gateways may share.
//!
//! Statements are written in what SQLite and PostgreSQL have in common; the few places where they differ ask
//! [`Dialect`]. Parameters are `$1`, `$2`, …; columns are `TEXT` (compared bytewise) and `BIGINT`. Adapters: [`sqlite`], a
//! file of the site; [`postgres`], a server.

use std::borrow::Cow;

use async_trait::async_trait;

pub mod postgres;
pub mod sqlite;

/// A place that keeps tables. Every method may be called from many tasks at once, and none stalls the runtime.
#[async_trait]
pub trait Database: Send + Sync + 'static {
    /// Returns the name for messages: a path or an address, never a password.
    fn name(&self) -> &str;

    /// Tells which SQL it speaks where there is a choice.
    fn dialect(&self) -> Dialect;

    /// Brings the tables up to date: runs those of `steps` that never ran here, each once, whoever else tries meanwhile.
    async fn migrate(&self, steps: &[&str]) -> Result<(), DatabaseError>;

    /// Returns the rows of a query.
    async fn query(&self, statement: Statement) -> Result<Vec<Row>, DatabaseError>;

    /// Runs statements in one transaction, which is durable when this returns; after an error nothing was changed.
    ///
    /// One exception: after [`DatabaseError::Unreachable`] it may have happened all the same.
    async fn write(&self, statements: Vec<Statement>) -> Result<(), DatabaseError>;
}

/// Where two databases write the same thing differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite's way.
    Sqlite,
    /// PostgreSQL's way.
    Postgres,
}

/// One statement and its parameters.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The text, with `$1` for the first parameter.
    pub sql: Cow<'static, str>,
    /// The parameters.
    pub values: Vec<Value>,
    /// It must change a row: [`DatabaseError::Stale`] otherwise.
    pub must_change: bool,
}

/// A parameter, or a column of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// No value.
    Null,
    /// A text; without NUL, which PostgreSQL does not take.
    Text(String),
    /// A number.
    Integer(i64),
}

/// A row of a query, taken column by column from the left.
#[derive(Debug)]
pub struct Row(std::vec::IntoIter<Value>);

/// Why a database could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// A row would be there twice.
    #[error("there is such a row already")]
    Duplicate,
    /// What was to be changed is not as it was any more.
    #[error("the row was changed meanwhile")]
    Stale,
    /// The database cannot be reached now, or is busy for too long.
    #[error("the database {name} cannot be reached: {cause}")]
    Unreachable {
        /// Which one.
        name: String,
        /// What happened.
        cause: String,
    },
    /// The setting names no database that can be used.
    #[error("database: {0}")]
    Setting(String),
    /// Another failure.
    #[error("the database {name}: {cause}")]
    Failed {
        /// Which one.
        name: String,
        /// What it said.
        cause: String,
    },
}

impl Dialect {
    /// Returns the expression for a member of an object in a JSON column, as text; `NULL` where there is none.
    ///
    /// `path` is the number of the parameter that [`Dialect::member`] makes of the member's name.
    pub fn json_text(self, column: &str, path: usize) -> String {
        match self {
            Self::Sqlite => format!("CAST({column} ->> ${path} AS TEXT)"),
            Self::Postgres => format!("(CAST({column} AS JSONB) ->> CAST(${path} AS TEXT))"),
        }
    }

    /// Returns the parameter that names a member of an object for [`Dialect::json_text`].
    pub fn member(self, name: &str) -> Value {
        match self {
            // Otherwise a name that begins with `$` would be a path.
            Self::Sqlite => Value::Text(format!("$.{}", serde_json::Value::from(name))),
            Self::Postgres => Value::Text(name.to_owned()),
        }
    }
}

impl Statement {
    /// Makes a statement.
    pub fn new(sql: impl Into<Cow<'static, str>>, values: impl Into<Vec<Value>>) -> Self {
        Self { sql: sql.into(), values: values.into(), must_change: false }
    }

    /// Makes a statement that must change a row.
    pub fn changing(sql: impl Into<Cow<'static, str>>, values: impl Into<Vec<Value>>) -> Self {
        Self { must_change: true, ..Self::new(sql, values) }
    }
}

impl Row {
    /// Makes a row of its columns.
    pub fn new(columns: Vec<Value>) -> Self {
        Self(columns.into_iter())
    }

    /// Takes a column that may be `NULL` and holds text otherwise.
    pub fn optional_text(&mut self) -> Option<String> {
        match self.0.next() {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Takes a column of text; `NULL` is the empty text.
    pub fn text(&mut self) -> String {
        self.optional_text().unwrap_or_default()
    }

    /// Takes a column that may be `NULL` and holds a number otherwise.
    pub fn optional_integer(&mut self) -> Option<i64> {
        match self.0.next() {
            Some(Value::Integer(number)) => Some(number),
            _ => None,
        }
    }

    /// Takes a column of numbers; `NULL` is 0.
    pub fn integer(&mut self) -> i64 {
        self.optional_integer().unwrap_or_default()
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Integer(yes.into())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
