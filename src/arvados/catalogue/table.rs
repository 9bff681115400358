//! What the tables look like to who filters, orders and selects.

/// A table and its columns, the UUID first.
#[derive(Debug)]
pub struct Table {
    /// Its name in the database.
    pub name: &'static str,
    /// What clients call one record of it: `arvados#collection`.
    pub kind: &'static str,
    /// Its columns.
    pub columns: &'static [Column],
}

/// A column, called as clients call it.
#[derive(Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// A text.
    Text,
    /// A number.
    Integer,
    /// 0 or 1.
    Flag,
    /// A time, in microseconds since 1970.
    Time,
    /// A JSON object or list.
    Json,
    /// Long text: given out only to who selects it, and nobody filters by it.
    Large,
    /// Not for clients.
    Inner,
}

/// The columns that every table begins with.
macro_rules! columns {
    ($($name:ident: $kind:ident),* $(,)?) => {
        &[
            Column { name: "uuid", kind: ColumnKind::Text },
            Column { name: "owner_uuid", kind: ColumnKind::Text },
            Column { name: "name", kind: ColumnKind::Text },
            Column { name: "description", kind: ColumnKind::Text },
            Column { name: "properties", kind: ColumnKind::Json },
            Column { name: "created_at", kind: ColumnKind::Time },
            Column { name: "modified_at", kind: ColumnKind::Time },
            Column { name: "modified_by_user_uuid", kind: ColumnKind::Text },
            Column { name: "trash_at", kind: ColumnKind::Time },
            Column { name: "delete_at", kind: ColumnKind::Time },
            $(Column { name: stringify!($name), kind: ColumnKind::$kind },)*
        ]
    };
}

pub(super) const COLLECTION: Table = Table {
    name: "collection",
    kind: "arvados#collection",
    columns: columns! {
        portable_data_hash: Text, replication_desired: Integer, storage_classes_desired: Json, version: Integer,
        preserve_version: Flag, file_count: Integer, file_size_total: Integer, reference: Inner, manifest_text: Large,
    },
};

pub(super) const PROJECT: Table =
    Table { name: "project", kind: "arvados#group", columns: columns! { group_class: Text } };

pub(super) const LINK: Table = Table {
    name: "link",
    kind: "arvados#link",
    columns: columns! { link_class: Text, tail_uuid: Text, head_uuid: Text },
};

impl Table {
    /// Returns the names of all columns, for SQL.
    pub(super) fn columns_all(&self) -> String {
        self.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
    }

    /// Returns the names of all columns, for SQL, with nothing in the place of those that are large.
    pub(super) fn columns_small(&self) -> String {
        let name = |column: &Column| if column.kind == ColumnKind::Large { "NULL" } else { column.name };
        self.columns.iter().map(name).collect::<Vec<_>>().join(", ")
    }

    /// Returns the column that clients may filter or order by.
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns
            .iter()
            .find(|column| column.name == name && !matches!(column.kind, ColumnKind::Large | ColumnKind::Inner))
    }
}
