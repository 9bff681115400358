//! The catalogue: collections, the projects that they are in, and who may see them, as an Arvados API server keeps them.
//!
//! It holds what is known of a collection, its manifest included, never content. What clients may do with it is decided
//! by the API rules beside it. Source: `docs/spec/keep-collections.md` §3.

use std::sync::Arc;

use annex_gateway::database::{Database, DatabaseError, Statement, Value};

mod access;
mod filter;
mod list;
mod record;
mod table;

pub use access::{Access, Level, Viewer};
pub use filter::{Filter, Invalid};
pub use list::{List, ListError, Order, Page};
pub use record::{Base, Collection, Link, Project, Record};
pub use table::{Column, ColumnKind, Table};

/// The tables of a site. Cloning is cheap.
#[derive(Clone)]
pub struct Catalogue {
    database: Arc<dyn Database>,
}

/// The UUID, behind the cluster, of the group that everybody is in.
const EVERYBODY: &str = "j7d0g-fffffffffffffff";

/// One version of the tables after the other. Times are microseconds since 1970.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE collection (
        uuid TEXT PRIMARY KEY, owner_uuid TEXT NOT NULL, name TEXT, description TEXT, properties TEXT NOT NULL,
        created_at BIGINT NOT NULL, modified_at BIGINT NOT NULL, modified_by_user_uuid TEXT NOT NULL,
        trash_at BIGINT, delete_at BIGINT,
        portable_data_hash TEXT NOT NULL, replication_desired BIGINT, storage_classes_desired TEXT NOT NULL,
        version BIGINT NOT NULL, preserve_version BIGINT NOT NULL,
        file_count BIGINT NOT NULL, file_size_total BIGINT NOT NULL,
        reference TEXT NOT NULL, manifest_text TEXT NOT NULL);
    CREATE UNIQUE INDEX collection_name ON collection (owner_uuid, name) WHERE trash_at IS NULL;
    CREATE INDEX collection_portable_data_hash ON collection (portable_data_hash);
    CREATE INDEX collection_modified_at ON collection (modified_at, uuid);
    CREATE INDEX collection_delete_at ON collection (delete_at) WHERE delete_at IS NOT NULL;
    CREATE TABLE project (
        uuid TEXT PRIMARY KEY, owner_uuid TEXT NOT NULL, name TEXT, description TEXT, properties TEXT NOT NULL,
        created_at BIGINT NOT NULL, modified_at BIGINT NOT NULL, modified_by_user_uuid TEXT NOT NULL,
        trash_at BIGINT, delete_at BIGINT, group_class TEXT NOT NULL);
    CREATE UNIQUE INDEX project_name ON project (owner_uuid, name) WHERE trash_at IS NULL;
    CREATE TABLE link (
        uuid TEXT PRIMARY KEY, owner_uuid TEXT NOT NULL, name TEXT, description TEXT, properties TEXT NOT NULL,
        created_at BIGINT NOT NULL, modified_at BIGINT NOT NULL, modified_by_user_uuid TEXT NOT NULL,
        trash_at BIGINT, delete_at BIGINT,
        link_class TEXT NOT NULL, tail_uuid TEXT NOT NULL, head_uuid TEXT NOT NULL);
    CREATE INDEX link_tail ON link (tail_uuid);
    CREATE INDEX link_head ON link (head_uuid);
"];

impl Catalogue {
    /// Opens the catalogue in a database; its tables are made or brought up to date.
    pub async fn open(database: Arc<dyn Database>) -> Result<Self, DatabaseError> {
        database.migrate(MIGRATIONS).await?;
        Ok(Self { database })
    }

    /// Returns the record with a UUID, trashed or not, whoever asks.
    pub async fn get<R: Record>(&self, uuid: &str) -> Result<Option<R>, DatabaseError> {
        let sql = format!("SELECT {} FROM {} WHERE uuid = $1", R::TABLE.columns_all(), R::TABLE.name);
        let mut rows = self.database.query(Statement::new(sql, [uuid.into()])).await?;
        Ok(rows.pop().map(|mut row| R::from_row(&mut row)))
    }

    /// Adds a record; [`DatabaseError::Duplicate`] when its owner has one of that name already.
    pub async fn add<R: Record>(&self, record: &R) -> Result<(), DatabaseError> {
        let places = (1..=R::TABLE.columns.len()).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ");
        let sql = format!("INSERT INTO {} ({}) VALUES ({places})", R::TABLE.name, R::TABLE.columns_all());
        self.database.write(vec![Statement::new(sql, record.values())]).await
    }

    /// Changes a record that was last modified at `modified_at`; [`DatabaseError::Stale`] when that is not so any more.
    pub async fn change<R: Record>(&self, record: &R, modified_at: i64) -> Result<(), DatabaseError> {
        let table = R::TABLE;
        let set = table.columns.iter().enumerate().skip(1);
        let set = set.map(|(index, column)| format!("{} = ${}", column.name, index + 1)).collect::<Vec<_>>().join(", ");
        let last = table.columns.len() + 1;
        let sql = format!("UPDATE {} SET {set} WHERE uuid = $1 AND modified_at = ${last}", table.name);
        let mut values = record.values();
        values.push(Value::Integer(modified_at));
        self.database.write(vec![Statement::changing(sql, values)]).await
    }

    /// Removes a record that was last modified at `modified_at`, and links to and from it; [`DatabaseError::Stale`]
    /// when that is not so any more.
    pub async fn remove<R: Record>(&self, uuid: &str, modified_at: i64) -> Result<(), DatabaseError> {
        let remove = format!("DELETE FROM {} WHERE uuid = $1 AND modified_at = $2", R::TABLE.name);
        let links = "DELETE FROM link WHERE tail_uuid = $1 OR head_uuid = $1";
        self.database
            .write(vec![
                Statement::changing(remove, [uuid.into(), modified_at.into()]),
                Statement::new(links, [uuid.into()]),
            ])
            .await
    }

    /// Returns collections whose time to be deleted has come at `now`, at most `limit` of them.
    pub async fn expired(&self, now: i64, limit: i64) -> Result<Vec<Collection>, DatabaseError> {
        let columns = Collection::TABLE.columns_all();
        let sql = format!("SELECT {columns} FROM collection WHERE delete_at <= $1 ORDER BY delete_at LIMIT $2");
        let rows = self.database.query(Statement::new(sql, [now.into(), limit.into()])).await?;
        Ok(rows.into_iter().map(|mut row| Collection::from_row(&mut row)).collect())
    }

    /// Returns the collections behind one, trashed or not, in the order of their UUIDs, at most `limit` of them.
    pub async fn after(&self, uuid: &str, limit: i64) -> Result<Vec<Collection>, DatabaseError> {
        let columns = Collection::TABLE.columns_all();
        let sql = format!("SELECT {columns} FROM collection WHERE uuid > $1 ORDER BY uuid LIMIT $2");
        let rows = self.database.query(Statement::new(sql, [uuid.into(), limit.into()])).await?;
        Ok(rows.into_iter().map(|mut row| Collection::from_row(&mut row)).collect())
    }

    /// Tells whether there is no collection at all.
    pub async fn is_empty(&self) -> Result<bool, DatabaseError> {
        let sql = "SELECT uuid FROM collection LIMIT 1";
        Ok(self.database.query(Statement::new(sql, [])).await?.is_empty())
    }

    /// Tells whether a collection exists under this name for its blocks.
    pub async fn refers(&self, reference: &str) -> Result<bool, DatabaseError> {
        let Some((uuid, _)) = reference.split_once('.') else { return Ok(false) };
        let sql = "SELECT uuid FROM collection WHERE uuid = $1 AND reference = $2";
        let rows = self.database.query(Statement::new(sql, [uuid.into(), reference.into()])).await?;
        Ok(!rows.is_empty())
    }
}

impl std::fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Catalogue").field(&self.database.name()).finish()
    }
}
