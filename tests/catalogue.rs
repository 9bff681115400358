//! The catalogue in SQLite and in a real PostgreSQL: one suite for both.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;

use annex_gateway::database::Database;
use annex_gateway::database::postgres::Postgres;
use annex_gateway::database::sqlite::Sqlite;
use annex_keep::arvados::catalogue::Catalogue;

#[path = "catalogue/suite.rs"]
mod suite;

#[path = "../gateway/tests/support/postgres.rs"]
mod server;

use server::Server;

/// Runs each test of the suite on SQLite, and all of them in turn on one server.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                let dir = tempfile::tempdir().unwrap();
                let database = super::Sqlite::open(&dir.path().join("catalogue.db")).await.unwrap();
                super::suite::$name(super::Catalogue::open(super::Arc::new(database)).await.unwrap()).await;
            })*
        }

        #[tokio::test]
        async fn all_of_it_holds_in_postgresql() {
            let server = Server::start();
            $(
                println!("{}", stringify!($name));
                let database = Postgres::new(&server.database()).unwrap();
                suite::$name(Catalogue::open(Arc::new(database)).await.unwrap()).await;
            )*
            opened_by_three_at_once(&server.database()).await;
        }
    };
}

on_both!(
    what_is_added_comes_back_as_it_was,
    a_name_is_there_once_for_an_owner_and_again_after_the_trash,
    a_change_of_what_was_changed_meanwhile_is_refused,
    filters_find_what_they_say,
    a_filter_that_makes_no_sense_is_refused,
    pages_follow_each_other_in_order,
    nobody_sees_what_is_not_theirs_or_shared,
    a_right_to_a_project_reaches_all_that_is_in_it,
    what_is_in_a_trashed_project_is_hidden,
    what_expired_is_gone_and_found_for_removal,
    many_writers_at_once_make_one_name,
);

async fn opened_by_three_at_once(url: &str) {
    let open = async || {
        let database: Arc<dyn Database> = Arc::new(Postgres::new(url).unwrap());
        Catalogue::open(database).await.map(|_| ())
    };
    let (one, two, three) = tokio::join!(open(), open(), open());
    one.and(two).and(three).unwrap();
}

#[tokio::test]
async fn a_server_that_goes_away_is_named_and_found_again() {
    let mut server = Server::start();
    let database = Postgres::new(&server.database()).unwrap();
    let catalogue = Catalogue::open(Arc::new(database)).await.unwrap();
    suite::what_is_added_comes_back_as_it_was(catalogue.clone()).await;
    server.stop();
    let error = catalogue.expired(0, 1).await.unwrap_err().to_string();
    assert!(error.contains("cannot be reached"), "{error}");
    server.run();
    assert!(catalogue.expired(0, 1).await.unwrap().is_empty());
}
