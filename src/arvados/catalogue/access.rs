//! Who may do what with a record: its owner everything, others what a link lets them.
//!
//! A right to a project is one to all that is in it, however deep. Source: `docs/spec/keep-collections.md` §3.

use annex_gateway::database::{DatabaseError, Statement, Value};

use super::{Catalogue, EVERYBODY};

/// Who looks.
#[derive(Debug, Clone)]
pub struct Viewer {
    /// The user's UUID.
    pub user: String,
    /// Sees and may do everything.
    pub admin: bool,
}

/// What somebody may do with a record; each level includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Not even know of it.
    None,
    /// See it.
    Read,
    /// Also change it.
    Write,
    /// Also give it away, and let others see it.
    Manage,
}

/// What somebody may do with a record, and in what state that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// What they may do.
    pub level: Level,
    /// One of the projects above it is trashed.
    pub hidden: bool,
}

const LEVELS: [(Level, &str); 3] =
    [(Level::Read, "can_read"), (Level::Write, "can_write"), (Level::Manage, "can_manage")];

impl Level {
    /// Reads the name of a permission link: `can_read`, `can_write` or `can_manage`.
    pub fn parse(name: &str) -> Option<Self> {
        LEVELS.iter().find(|(_, known)| *known == name).map(|(level, _)| *level)
    }
}

impl Viewer {
    /// Returns the UUID of the group that everybody is in.
    pub(super) fn everybody(&self) -> String {
        let cluster = self.user.split('-').next().unwrap_or_default();
        format!("{cluster}-{EVERYBODY}")
    }
}

impl Catalogue {
    /// Returns what a viewer may do with the record `uuid` that belongs to `owner`, at `now`.
    pub async fn access(&self, viewer: &Viewer, uuid: &str, owner: &str, now: i64) -> Result<Access, DatabaseError> {
        let sql = "WITH RECURSIVE above(uuid, owner_uuid, trash_at) AS (
                SELECT uuid, owner_uuid, trash_at FROM project WHERE uuid = $1
                UNION SELECT project.uuid, project.owner_uuid, project.trash_at
                    FROM project JOIN above ON project.uuid = above.owner_uuid)
            SELECT uuid, owner_uuid, trash_at FROM above";
        let rows = self.database.query(Statement::new(sql, [owner.into()])).await?;
        let (mut heads, mut hidden) = (vec![uuid.to_owned(), owner.to_owned()], false);
        for mut row in rows {
            heads.extend([row.text(), row.text()]);
            hidden |= row.optional_integer().is_some_and(|at| at <= now);
        }
        if viewer.admin || heads.contains(&viewer.user) {
            return Ok(Access { level: Level::Manage, hidden });
        }
        let places = (3..heads.len() + 3).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ");
        let sql = format!(
            "SELECT name FROM link WHERE link_class = 'permission' AND tail_uuid IN ($1, $2) AND head_uuid IN ({places})"
        );
        let mut values = vec![Value::from(viewer.user.as_str()), viewer.everybody().into()];
        values.extend(heads.into_iter().map(Value::from));
        let rows = self.database.query(Statement::new(sql, values)).await?;
        let level = rows.into_iter().filter_map(|mut row| Level::parse(&row.text())).max();
        Ok(Access { level: level.unwrap_or(Level::None), hidden })
    }

    /// Tells whether the project `inner` is `outer`, or somewhere in it.
    pub async fn is_within(&self, inner: &str, outer: &str) -> Result<bool, DatabaseError> {
        let sql = "WITH RECURSIVE above(uuid, owner_uuid) AS (
                SELECT uuid, owner_uuid FROM project WHERE uuid = $1
                UNION SELECT project.uuid, project.owner_uuid FROM project JOIN above ON project.uuid = above.owner_uuid)
            SELECT uuid FROM above WHERE uuid = $2";
        Ok(!self.database.query(Statement::new(sql, [inner.into(), outer.into()])).await?.is_empty())
    }
}
