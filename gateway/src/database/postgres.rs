//! A database on a PostgreSQL server, over a Unix socket or TCP.
//!
//! TLS is not spoken: an address that asks for it is refused, never used in clear.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, NoTls};

use super::{Database, DatabaseError, Dialect, Row, Statement, Value};

/// A database of a PostgreSQL server. Cloning is cheap.
#[derive(Clone)]
pub struct Postgres(Arc<Inner>);

struct Inner {
    name: String,
    config: Config,
    places: Semaphore,
    spare: Mutex<Vec<Client>>,
}

/// Connections at once.
const CONNECTIONS: usize = 8;

/// How long making a connection may take, and then each statement.
const CONNECT_TIME: Duration = Duration::from_secs(10);
const STATEMENT_TIME: Duration = Duration::from_secs(120);

/// What is locked while tables are brought up to date; any number will do.
const MIGRATION_LOCK: i64 = 0x616e_6e65_786b;

impl Postgres {
    /// Reads an address, `postgres://USER:PASSWORD@HOST:PORT/DATABASE`. Nothing is connected yet.
    pub fn new(url: &str) -> Result<Self, DatabaseError> {
        // What the parser says of a wrong address could hold its password.
        let mut config: Config = url.parse().map_err(|_| setting("this is no address of a PostgreSQL database"))?;
        if matches!(config.get_ssl_mode(), SslMode::Require) {
            return Err(setting("sslmode=require: TLS to PostgreSQL is not supported; use a Unix socket or a tunnel"));
        }
        config.ssl_mode(SslMode::Disable).connect_timeout(CONNECT_TIME).application_name("annex-keep");
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            Some(Host::Unix(path)) => path.display().to_string(),
            None => {
                return Err(setting("the address names no host; for a Unix socket: postgres:///NAME?host=/DIRECTORY"));
            }
        };
        let name = format!("{} on {host}", config.get_dbname().unwrap_or("(default)"));
        let places = Semaphore::new(CONNECTIONS);
        Ok(Self(Arc::new(Inner { name, config, places, spare: Mutex::default() })))
    }

    /// Returns a connection that nobody else uses.
    async fn connection(&self) -> Result<Borrowed<'_>, DatabaseError> {
        let place = self.0.places.acquire().await.map_err(|error| self.unreachable(&error))?;
        let spare = || self.0.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        while let Some(client) = spare() {
            if !client.is_closed() {
                return Ok(Borrowed { client, pool: self, _place: place });
            }
        }
        let (client, connection) = tokio::time::timeout(CONNECT_TIME, self.0.config.connect(NoTls))
            .await
            .map_err(|error| self.unreachable(&error))?
            .map_err(|error| self.failure(&error))?;
        let name = self.0.name.clone();
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::warn!("the database {name}: {}", described(&error));
            }
        });
        Ok(Borrowed { client, pool: self, _place: place })
    }

    /// Runs `work` with a time limit: a server that went away without a word is no reason to wait for ever.
    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, tokio_postgres::Error>> + Send,
    ) -> Result<T, DatabaseError> {
        match tokio::time::timeout(STATEMENT_TIME, work).await {
            Ok(done) => done.map_err(|error| self.failure(&error)),
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    fn unreachable(&self, error: &(dyn Error + 'static)) -> DatabaseError {
        DatabaseError::Unreachable { name: self.0.name.clone(), cause: described(error) }
    }

    fn failure(&self, error: &tokio_postgres::Error) -> DatabaseError {
        let Some(code) = error.code() else { return self.unreachable(error) };
        // Classes 08 (connection), 53 (resources), 57 (shut down by the operator), and what comes of two at once.
        let passing = ["08", "53", "57"].iter().any(|class| code.code().starts_with(class))
            || [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code);
        match code {
            _ if *code == SqlState::UNIQUE_VIOLATION => DatabaseError::Duplicate,
            _ if passing => self.unreachable(error),
            _ => DatabaseError::Failed { name: self.0.name.clone(), cause: described(error) },
        }
    }
}

/// A connection taken from the pool. Comes back when it was [released](Borrowed::release); otherwise, with work in an
/// unknown state, it is closed.
struct Borrowed<'a> {
    client: Client,
    pool: &'a Postgres,
    _place: SemaphorePermit<'a>,
}

impl Borrowed<'_> {
    fn release(self) {
        if !self.client.is_closed() {
            self.pool.0.spare.lock().unwrap_or_else(PoisonError::into_inner).push(self.client);
        }
    }
}

#[async_trait]
impl Database for Postgres {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    async fn migrate(&self, steps: &[&str]) -> Result<(), DatabaseError> {
        let mut borrowed = self.connection().await?;
        let newer = self.in_time(migrate(&mut borrowed.client, steps)).await?;
        borrowed.release();
        let cause = "made by a newer version of annex-keep".to_owned();
        if newer { Err(DatabaseError::Failed { name: self.0.name.clone(), cause }) } else { Ok(()) }
    }

    async fn query(&self, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        let borrowed = self.connection().await?;
        let rows = self.in_time(borrowed.client.query(&*statement.sql, &parameters(&statement))).await?;
        borrowed.release();
        rows.iter().map(|found| row(found).map_err(|error| self.failure(&error))).collect()
    }

    async fn write(&self, statements: Vec<Statement>) -> Result<(), DatabaseError> {
        let mut borrowed = self.connection().await?;
        let client = &mut borrowed.client;
        let work = async {
            let transaction = client.transaction().await?;
            for statement in &statements {
                let changed = transaction.execute(&*statement.sql, &parameters(statement)).await?;
                if changed == 0 && statement.must_change {
                    transaction.rollback().await?;
                    return Ok(false);
                }
            }
            transaction.commit().await?;
            Ok(true)
        };
        let done = self.in_time(work).await?;
        borrowed.release();
        if done { Ok(()) } else { Err(DatabaseError::Stale) }
    }
}

/// Runs the steps that are missing; true when somebody made more of them than there are.
async fn migrate(client: &mut Client, steps: &[&str]) -> Result<bool, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await?;
    transaction.batch_execute("CREATE TABLE IF NOT EXISTS annex_keep_version (version BIGINT NOT NULL)").await?;
    let have: i64 =
        transaction.query_one("SELECT coalesce(max(version), 0) FROM annex_keep_version", &[]).await?.try_get(0)?;
    let Some(missing) = usize::try_from(have).ok().and_then(|have| steps.get(have..)) else { return Ok(true) };
    for step in missing {
        // Order and equality do not depend on the server's language.
        transaction.batch_execute(&step.replace(" TEXT", " TEXT COLLATE \"C\"")).await?;
    }
    let version = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    if version > have {
        transaction.execute("INSERT INTO annex_keep_version VALUES ($1)", &[&version]).await?;
    }
    transaction.commit().await?;
    Ok(false)
}

fn parameters(statement: &Statement) -> Vec<&(dyn ToSql + Sync)> {
    statement.values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

fn row(found: &tokio_postgres::Row) -> Result<Row, tokio_postgres::Error> {
    let value = |index: usize| {
        let is_text = found.columns().get(index).is_some_and(|column| *column.type_() == Type::TEXT);
        Ok(match is_text {
            true => found.try_get::<_, Option<String>>(index)?.into(),
            false => found.try_get::<_, Option<i64>>(index)?.into(),
        })
    };
    Ok(Row::new((0..found.len()).map(value).collect::<Result<_, tokio_postgres::Error>>()?))
}

impl ToSql for Value {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Text(text) => text.to_sql(kind, out),
            Self::Integer(number) => number.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        [Type::TEXT, Type::INT8].contains(kind)
    }

    to_sql_checked!();
}

fn setting(text: &str) -> DatabaseError {
    DatabaseError::Setting(text.to_owned())
}

/// An error of this library says only what it was doing; why it failed stands in its sources.
fn described(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
