//! Records of the catalogue.

use annex_gateway::database::{Row, Value};

use super::table::{self, Table};

/// A record of a table, column by column in the table's order.
pub trait Record: Clone + Send + Sync {
    /// The table.
    const TABLE: &'static Table;

    /// Reads a row with all of the table's columns.
    fn from_row(row: &mut Row) -> Self;

    /// Returns all columns.
    fn values(&self) -> Vec<Value>;

    /// Returns what all records have.
    fn base(&self) -> &Base;

    /// Returns what all records have, to change it.
    fn base_mut(&mut self) -> &mut Base;
}

/// What all records have. Times are microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Base {
    /// Its UUID.
    pub uuid: String,
    /// The user or project that it belongs to.
    pub owner: String,
    /// Its name.
    pub name: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// A JSON object.
    pub properties: String,
    /// When it was made.
    pub created_at: i64,
    /// When it was last changed; never twice the same for one record.
    pub modified_at: i64,
    /// Who changed it last.
    pub modified_by: String,
    /// From when on it counts as trashed.
    pub trash_at: Option<i64>,
    /// From when on it is gone.
    pub delete_at: Option<i64>,
}

/// A collection: files, by their manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Collection {
    /// What all records have.
    pub base: Base,
    /// The hash of its manifest.
    pub portable_data_hash: String,
    /// How many copies of its blocks there should be.
    pub replication_desired: Option<i64>,
    /// A JSON list of names.
    pub storage_classes_desired: String,
    /// How often its content or description was changed, from 1.
    pub version: i64,
    /// Kept for clients that ask; no older versions are.
    pub preserve_version: bool,
    /// How many files it has.
    pub file_count: i64,
    /// Their size together, in bytes.
    pub file_size_total: i64,
    /// Under which name the stores know its blocks: `UUID.…`, another one for each manifest that it had.
    pub reference: String,
    /// Its manifest without signatures; empty in a list that did not ask for it.
    pub manifest: String,
}

/// A project: what collections and other projects are in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Project {
    /// What all records have.
    pub base: Base,
    /// `project`.
    pub group_class: String,
}

/// A link; of the class `permission`, it lets a user (or everybody) do something with a project or collection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Link {
    /// What all records have.
    pub base: Base,
    /// `permission`.
    pub class: String,
    /// Whom it is for.
    pub tail: String,
    /// What it is about.
    pub head: String,
}

impl Base {
    fn from_row(row: &mut Row) -> Self {
        Self {
            uuid: row.text(),
            owner: row.text(),
            name: row.optional_text(),
            description: row.optional_text(),
            properties: row.text(),
            created_at: row.integer(),
            modified_at: row.integer(),
            modified_by: row.text(),
            trash_at: row.optional_integer(),
            delete_at: row.optional_integer(),
        }
    }

    fn values(&self) -> Vec<Value> {
        vec![
            self.uuid.as_str().into(),
            self.owner.as_str().into(),
            self.name.as_deref().into(),
            self.description.as_deref().into(),
            self.properties.as_str().into(),
            self.created_at.into(),
            self.modified_at.into(),
            self.modified_by.as_str().into(),
            self.trash_at.into(),
            self.delete_at.into(),
        ]
    }

    /// Tells whether it counts as trashed at `now`.
    pub fn is_trashed(&self, now: i64) -> bool {
        self.trash_at.is_some_and(|at| at <= now)
    }

    /// Tells whether its time is over at `now`.
    pub fn is_gone(&self, now: i64) -> bool {
        self.delete_at.is_some_and(|at| at <= now)
    }
}

/// The two methods that are the same for every record.
macro_rules! base {
    () => {
        fn base(&self) -> &Base {
            &self.base
        }

        fn base_mut(&mut self) -> &mut Base {
            &mut self.base
        }
    };
}

impl Record for Collection {
    const TABLE: &'static Table = &table::COLLECTION;

    base!();

    fn from_row(row: &mut Row) -> Self {
        Self {
            base: Base::from_row(row),
            portable_data_hash: row.text(),
            replication_desired: row.optional_integer(),
            storage_classes_desired: row.text(),
            version: row.integer(),
            preserve_version: row.integer() != 0,
            file_count: row.integer(),
            file_size_total: row.integer(),
            reference: row.text(),
            manifest: row.text(),
        }
    }

    fn values(&self) -> Vec<Value> {
        let mut values = self.base.values();
        values.extend([
            self.portable_data_hash.as_str().into(),
            self.replication_desired.into(),
            self.storage_classes_desired.as_str().into(),
            self.version.into(),
            self.preserve_version.into(),
            self.file_count.into(),
            self.file_size_total.into(),
            self.reference.as_str().into(),
            self.manifest.as_str().into(),
        ]);
        values
    }
}

impl Record for Project {
    const TABLE: &'static Table = &table::PROJECT;

    base!();

    fn from_row(row: &mut Row) -> Self {
        Self { base: Base::from_row(row), group_class: row.text() }
    }

    fn values(&self) -> Vec<Value> {
        let mut values = self.base.values();
        values.push(self.group_class.as_str().into());
        values
    }
}

impl Record for Link {
    const TABLE: &'static Table = &table::LINK;

    base!();

    fn from_row(row: &mut Row) -> Self {
        Self { base: Base::from_row(row), class: row.text(), tail: row.text(), head: row.text() }
    }

    fn values(&self) -> Vec<Value> {
        let mut values = self.base.values();
        values.extend([self.class.as_str().into(), self.tail.as_str().into(), self.head.as_str().into()]);
        values
    }
}
