//! The promises of the port `Database`, run for SQLite and for a real PostgreSQL.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;

use annex_gateway::database::postgres::Postgres;
use annex_gateway::database::sqlite::Sqlite;
use annex_gateway::database::{Database, DatabaseError, Statement};

#[path = "contract/database.rs"]
mod contract;
#[path = "support/postgres.rs"]
mod server;

use contract::Tried;
use server::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_promises_of_a_database() {
    let dir = tempfile::tempdir().unwrap();
    let number = std::sync::atomic::AtomicU32::new(0);
    contract::all(async || {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = dir.path().join(format!("{number}.db"));
        let again = move || {
            let path = path.clone();
            Box::pin(async move { Arc::new(Sqlite::open(&path).await.unwrap()) as Arc<dyn Database> }) as _
        };
        Tried { database: again().await, again: Box::new(again) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_keeps_the_promises_of_a_database() {
    let server = Server::start();
    contract::all(async || {
        let url = server.database();
        let again = move || {
            let database: Arc<dyn Database> = Arc::new(Postgres::new(&url).unwrap());
            Box::pin(std::future::ready(database)) as _
        };
        Tried { database: again().await, again: Box::new(again) }
    })
    .await;
}

fn one() -> Statement {
    Statement::new("SELECT CAST(1 AS BIGINT)", [])
}

#[tokio::test]
async fn a_server_that_goes_away_cannot_be_reached_and_is_found_again() {
    let mut server = Server::start();
    let database = Postgres::new(&server.database()).unwrap();
    assert_eq!(database.query(one()).await.unwrap()[0].integer(), 1);
    server.stop();
    for gone in [database.query(one()).await.map(drop), database.write(vec![one()]).await] {
        let Err(DatabaseError::Unreachable { name, .. }) = gone else { panic!("{gone:?}") };
        assert_eq!(name, database.name());
    }
    server.run();
    assert_eq!(database.query(one()).await.unwrap()[0].integer(), 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_unreachable_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("absent/site.db");
    let error = Sqlite::open(&path).await.err().unwrap();
    assert!(matches!(error, DatabaseError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
}

#[test]
fn an_address_that_cannot_be_used_is_refused_with_a_reason_and_without_its_password() {
    for (url, reason) in [
        ("postgres://alice:secret@h/db?sslmode=require", "TLS"),
        ("postgres://alice:secret@h:nan/db", "no address"),
        ("postgres:///db", "names no host"),
    ] {
        let error = Postgres::new(url).err().unwrap().to_string();
        assert!(error.contains(reason) && !error.contains("secret"), "{error}");
    }
    let named = Postgres::new("postgres://alice:secret@h/db").unwrap();
    assert_eq!(named.name(), "db on h");
}
