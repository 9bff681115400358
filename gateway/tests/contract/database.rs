//! What every database must do. An adapter calls [`all`] with a way to make an empty one.

use std::sync::Arc;

use annex_gateway::database::{Database, DatabaseError, Row, Statement, Value};
use futures_util::future::{BoxFuture, join_all};

/// A database to be tried.
pub(crate) struct Tried {
    pub(crate) database: Arc<dyn Database>,
    /// Opens the same database once more, as another process does.
    pub(crate) again: Box<dyn Fn() -> BoxFuture<'static, Arc<dyn Database>>>,
}

/// Tries every promise, each on a database of its own.
pub(crate) async fn all(empty: impl AsyncFn() -> Tried) {
    values_come_back_as_they_were(empty().await).await;
    parameters_are_data_in_any_order(empty().await).await;
    texts_are_compared_bytewise(empty().await).await;
    members_of_objects_are_found_by_any_name(empty().await).await;
    each_step_runs_once_whoever_else_tries(empty().await).await;
    a_step_that_fails_changes_nothing(empty().await).await;
    tables_of_a_newer_version_are_left_alone(empty().await).await;
    statements_of_a_transaction_happen_together(empty().await).await;
    a_row_that_is_there_twice_is_told_and_undoes_all(empty().await).await;
    a_statement_that_had_to_change_a_row_undoes_all(empty().await).await;
    a_statement_that_makes_no_sense_undoes_all(empty().await).await;
    what_was_written_is_seen_by_everybody_at_once(empty().await).await;
    many_writers_lose_nothing(empty().await).await;
    nobody_sees_half_a_transaction(empty().await).await;
}

const TABLE: &str = "CREATE TABLE thing (name TEXT PRIMARY KEY, other TEXT UNIQUE, number BIGINT)";

const INSERT: &str = "INSERT INTO thing (name, other, number) VALUES ($1, $2, $3)";

impl Tried {
    async fn with_table(self) -> Self {
        self.database.migrate(&[TABLE]).await.unwrap();
        self
    }

    async fn query(&self, sql: &'static str, values: impl Into<Vec<Value>>) -> Vec<Row> {
        self.database.query(Statement::new(sql, values)).await.unwrap()
    }

    async fn write(&self, statements: impl Into<Vec<Statement>>) -> Result<(), DatabaseError> {
        self.database.write(statements.into()).await
    }

    /// The names of all things, in order.
    async fn names(&self) -> Vec<String> {
        let rows = self.query("SELECT name FROM thing ORDER BY name", []).await;
        rows.into_iter().map(|mut row| row.text()).collect()
    }
}

fn insert(name: &str) -> Statement {
    insert_with(name, None, 0)
}

fn insert_with(name: &str, other: Option<&str>, number: i64) -> Statement {
    Statement::new(INSERT, [name.into(), other.into(), number.into()])
}

async fn values_come_back_as_they_were(tried: Tried) {
    let tried = tried.with_table().await;
    assert!(!tried.database.name().is_empty());
    let rows = [
        ("", None, None),
        ("Grüße \u{1f600}", Some(""), Some(0)),
        ("'; DROP TABLE thing; --", Some("\n\t\\\"%_"), Some(i64::MIN)),
        ("z", Some("$1"), Some(i64::MAX)),
    ];
    for (name, other, number) in rows {
        let statement = Statement::new(INSERT, [name.into(), other.into(), number.into()]);
        tried.write([statement]).await.unwrap();
        let select = "SELECT name, other, number FROM thing WHERE name = $1";
        let mut found = tried.query(select, [name.into()]).await;
        assert_eq!(found.len(), 1);
        let row = &mut found[0];
        assert_eq!(
            (row.text(), row.optional_text(), row.optional_integer()),
            (name.to_owned(), other.map(str::to_owned), number)
        );
        assert_eq!((row.optional_text(), row.integer()), (None, 0), "there are no more columns");
    }
    assert!(tried.query("SELECT name FROM thing WHERE name = $1", ["absent".into()]).await.is_empty());
}

async fn parameters_are_data_in_any_order(tried: Tried) {
    let tried = tried.with_table().await;
    tried.write([insert_with("a", Some("a"), 1), insert_with("b", Some("a2"), 2)]).await.unwrap();
    let select = "SELECT number FROM thing WHERE number > $2 AND (name = $1 OR other = $1 OR number = $3)";
    let mut found = tried.query(select, ["a".into(), 0.into(), 2.into()]).await;
    let mut numbers: Vec<i64> = found.iter_mut().map(Row::integer).collect();
    numbers.sort();
    assert_eq!(numbers, [1, 2]);
}

async fn texts_are_compared_bytewise(tried: Tried) {
    let tried = tried.with_table().await;
    tried.write(["ä", "b", "a", "B", "_", "A b"].map(insert)).await.unwrap();
    assert_eq!(tried.names().await, ["A b", "B", "_", "a", "b", "ä"]);
    let like = async |pattern: &str| {
        let select = "SELECT name FROM thing WHERE name LIKE $1 ESCAPE '\\' ORDER BY name";
        let mut found = tried.query(select, [pattern.into()]).await;
        found.iter_mut().map(Row::text).collect::<Vec<_>>()
    };
    assert_eq!(like("b").await, ["b"]);
    assert_eq!(like("A%").await, ["A b"]);
    assert_eq!(like("\\_").await, ["_"]);
    let mut found = tried.query("SELECT name FROM thing WHERE name < $1", ["B".into()]).await;
    assert_eq!(found.iter_mut().map(Row::text).collect::<Vec<_>>(), ["A b"]);
}

async fn members_of_objects_are_found_by_any_name(tried: Tried) {
    let tried = tried.with_table().await;
    let dialect = tried.database.dialect();
    let object = r#"{"type": "log", "n": 5, "a b.\"c\"$": "odd", "$x": "y", "null": null}"#;
    tried.write([insert_with("one", Some(object), 0), insert_with("none", Some("{}"), 0)]).await.unwrap();
    let sql = format!("SELECT {} FROM thing ORDER BY name DESC", dialect.json_text("other", 1));
    for (name, value) in [
        ("type", Some("log")),
        ("n", Some("5")),
        ("a b.\"c\"$", Some("odd")),
        ("$x", Some("y")),
        ("null", None),
        ("-", None),
    ] {
        let statement = Statement::new(sql.clone(), [dialect.member(name)]);
        let mut found = tried.database.query(statement).await.unwrap();
        assert_eq!(found[0].optional_text().as_deref(), value, "{name}");
        assert_eq!(found[1].optional_text(), None, "{name}");
    }
}

async fn each_step_runs_once_whoever_else_tries(tried: Tried) {
    let steps = [TABLE, "INSERT INTO thing (name) VALUES ('first')", "INSERT INTO thing (name) VALUES ('second')"];
    let (one, two, three) = ((tried.again)().await, (tried.again)().await, (tried.again)().await);
    let opened = join_all([&one, &two, &three].map(|database| database.migrate(&steps[..2]))).await;
    opened.into_iter().collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(tried.names().await, ["first"]);
    tried.database.migrate(&steps).await.unwrap();
    tried.database.migrate(&steps).await.unwrap();
    assert_eq!(tried.names().await, ["first", "second"]);
}

async fn a_step_that_fails_changes_nothing(tried: Tried) {
    let failed = tried.database.migrate(&[TABLE, "INSERT INTO nonesuch VALUES (1)"]).await;
    assert!(matches!(failed, Err(DatabaseError::Failed { .. })), "{failed:?}");
    let absent = tried.database.query(Statement::new("SELECT name FROM thing", [])).await;
    assert!(matches!(absent, Err(DatabaseError::Failed { .. })), "{absent:?}");
    let tried = tried.with_table().await;
    assert!(tried.names().await.is_empty());
}

async fn tables_of_a_newer_version_are_left_alone(tried: Tried) {
    tried.database.migrate(&[TABLE, "INSERT INTO thing (name) VALUES ('new')"]).await.unwrap();
    let error = tried.database.migrate(&[TABLE]).await.unwrap_err().to_string();
    assert!(error.contains("newer version") && error.contains(tried.database.name()), "{error}");
    assert_eq!(tried.names().await, ["new"]);
}

async fn statements_of_a_transaction_happen_together(tried: Tried) {
    let tried = tried.with_table().await;
    tried.write([]).await.unwrap();
    let rename = Statement::changing("UPDATE thing SET name = $1 WHERE name = $2", ["c".into(), "a".into()]);
    let nothing = Statement::new("DELETE FROM thing WHERE name = $1", ["absent".into()]);
    tried.write([insert("a"), insert("b"), rename, nothing]).await.unwrap();
    assert_eq!(tried.names().await, ["b", "c"], "each sees what the ones before it did");
}

async fn a_row_that_is_there_twice_is_told_and_undoes_all(tried: Tried) {
    let tried = tried.with_table().await;
    tried.write([insert_with("a", Some("x"), 0)]).await.unwrap();
    for double in [insert("a"), insert_with("c", Some("x"), 0)] {
        let refused = tried.write([insert("b"), double]).await;
        assert!(matches!(refused, Err(DatabaseError::Duplicate)), "{refused:?}");
        assert_eq!(tried.names().await, ["a"]);
    }
    // Of rows without a value many may be there.
    tried.write([insert("b"), insert("c")]).await.unwrap();
}

async fn a_statement_that_had_to_change_a_row_undoes_all(tried: Tried) {
    let tried = tried.with_table().await;
    tried.write([insert_with("a", None, 1)]).await.unwrap();
    let update = "UPDATE thing SET number = $1 WHERE name = $2 AND number = $3";
    let change = |from: i64, to: i64| Statement::changing(update, [to.into(), "a".into(), from.into()]);
    let stale = tried.write([insert("b"), change(2, 3)]).await;
    assert!(matches!(stale, Err(DatabaseError::Stale)), "{stale:?}");
    assert_eq!(tried.names().await, ["a"]);
    tried.write([insert("b"), change(1, 2), change(2, 3)]).await.unwrap();
    let mut found = tried.query("SELECT number FROM thing WHERE name = $1", ["a".into()]).await;
    assert_eq!((found[0].integer(), tried.names().await), (3, vec!["a".to_owned(), "b".to_owned()]));
}

async fn a_statement_that_makes_no_sense_undoes_all(tried: Tried) {
    let tried = tried.with_table().await;
    for wrong in ["INSERT INTO nonesuch VALUES ($1)", "SELEKT", "INSERT INTO thing (nonesuch) VALUES ($1)"] {
        let failed = tried.write([insert("a"), Statement::new(wrong, ["x".into()])]).await;
        let Err(DatabaseError::Failed { name, .. }) = failed else { panic!("{wrong}: {failed:?}") };
        assert_eq!(name, tried.database.name());
        let asked = tried.database.query(Statement::new(wrong, ["x".into()])).await;
        assert!(matches!(asked, Err(DatabaseError::Failed { .. })), "{wrong}: {asked:?}");
        assert!(tried.names().await.is_empty(), "and it can be used on");
    }
}

async fn what_was_written_is_seen_by_everybody_at_once(tried: Tried) {
    let tried = tried.with_table().await;
    let other = (tried.again)().await;
    other.migrate(&[TABLE]).await.unwrap();
    for number in 0..20 {
        let name = format!("{number:02}");
        tried.write([insert(&name)]).await.unwrap();
        let select = Statement::new("SELECT count(*) FROM thing", []);
        assert_eq!(other.query(select).await.unwrap()[0].integer(), number + 1);
    }
    let Tried { database, again } = tried;
    drop((database, other));
    let count = again().await.query(Statement::new("SELECT count(*) FROM thing", [])).await.unwrap()[0].integer();
    assert_eq!(count, 20);
}

async fn many_writers_lose_nothing(tried: Tried) {
    let tried = tried.with_table().await;
    tried.write([insert_with("a", None, 0)]).await.unwrap();
    let databases = [Arc::clone(&tried.database), (tried.again)().await];
    let tasks = (0..16).map(|number: usize| {
        let database = Arc::clone(&databases[number % 2]);
        tokio::spawn(async move {
            for _ in 0..5 {
                let count = Statement::changing("UPDATE thing SET number = number + 1 WHERE name = $1", ["a".into()]);
                database.write(vec![count]).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let mut found = tried.query("SELECT number FROM thing", []).await;
    assert_eq!(found[0].integer(), 80);
}

async fn nobody_sees_half_a_transaction(tried: Tried) {
    let tried = tried.with_table().await;
    tried.write([insert_with("a", None, 100), insert_with("b", None, 0)]).await.unwrap();
    let writer = Arc::clone(&tried.database);
    let moving = tokio::spawn(async move {
        for _ in 0..50 {
            let by = |name: &str, number: i64| {
                let update = "UPDATE thing SET number = number + $1 WHERE name = $2";
                Statement::changing(update, [number.into(), name.into()])
            };
            writer.write(vec![by("a", -1), by("b", 1)]).await.unwrap();
        }
    });
    let other = (tried.again)().await;
    while !moving.is_finished() {
        for database in [&tried.database, &other] {
            let sum = Statement::new("SELECT CAST(sum(number) AS BIGINT) FROM thing", []);
            assert_eq!(database.query(sum).await.unwrap()[0].integer(), 100);
        }
    }
    moving.await.unwrap();
    let mut found = tried.query("SELECT number FROM thing ORDER BY name", []).await;
    assert_eq!(found.iter_mut().map(Row::integer).collect::<Vec<_>>(), [50, 50]);
}
