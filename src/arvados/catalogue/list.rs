//! Lists of records: what somebody may see, filtered, in order, page by page.

use annex_gateway::database::{DatabaseError, Statement};

use super::filter::{Filter, Invalid, Sql};
use super::table::{Column, ColumnKind};
use super::{Catalogue, Record, Viewer};

/// What of a table is listed.
#[derive(Debug, Clone, Default)]
pub struct List {
    /// Conditions, all of which hold.
    pub filters: Vec<Filter>,
    /// The order; the newest first if it is empty. The UUID decides what it leaves open.
    pub order: Vec<Order>,
    /// How many at most.
    pub limit: i64,
    /// How many are left out first.
    pub offset: i64,
    /// Also what is trashed, and what is in trashed projects.
    pub include_trash: bool,
    /// Large columns too.
    pub whole: bool,
    /// Count all that there are.
    pub count: bool,
}

/// A column to order by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its name.
    pub field: String,
    /// The largest first.
    pub descending: bool,
}

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Page<R> {
    /// The records.
    pub items: Vec<R>,
    /// How many there are in the whole list, if that was asked.
    pub available: Option<i64>,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// It cannot be asked like this.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl Order {
    /// Reads `FIELD`, `FIELD asc` or `FIELD desc`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let mut words = text.split_ascii_whitespace();
        let field = words.next().map(|field| field.rsplit('.').next().unwrap_or(field).to_owned());
        let direction = words.next().map(str::to_ascii_lowercase);
        match (field, direction.as_deref(), words.next()) {
            (Some(field), None | Some("asc"), None) => Ok(Self { field, descending: false }),
            (Some(field), Some("desc"), None) => Ok(Self { field, descending: true }),
            _ => Err(Invalid(format!("Invalid order '{text}'"))),
        }
    }
}

impl Catalogue {
    /// Returns a page of the records that a viewer may see at `now`; nobody sees what is gone.
    pub async fn list<R: Record>(&self, viewer: &Viewer, list: &List, now: i64) -> Result<Page<R>, ListError> {
        let mut sql = Sql { dialect: self.database.dialect(), values: Vec::new(), now };
        let rows = rows_of::<R>(viewer, list, &mut sql)?;
        let order = order::<R>(&list.order)?;
        let available = match list.count {
            true => {
                let count = Statement::new(rows.count(), sql.values.clone());
                Some(self.database.query(count).await?.pop().map_or(0, |mut row| row.integer()))
            }
            false => None,
        };
        let columns = if list.whole { R::TABLE.columns_all() } else { R::TABLE.columns_small() };
        let (limit, offset) = (sql.place(list.limit), sql.place(list.offset));
        let select = format!("{} ORDER BY {order} LIMIT {limit} OFFSET {offset}", rows.select(&columns));
        let rows = self.database.query(Statement::new(select, sql.values)).await?;
        Ok(Page { items: rows.into_iter().map(|mut row| R::from_row(&mut row)).collect(), available })
    }
}

/// The part of a query that says which rows.
struct Rows {
    with: String,
    table: &'static str,
    conditions: String,
}

impl Rows {
    fn count(&self) -> String {
        self.select("count(*)")
    }

    fn select(&self, columns: &str) -> String {
        let Self { with, table, conditions } = self;
        format!("{with} SELECT {columns} FROM {table} WHERE {conditions}")
    }
}

fn rows_of<R: Record>(viewer: &Viewer, list: &List, sql: &mut Sql) -> Result<Rows, Invalid> {
    let (user, everybody, now) = (sql.place(viewer.user.as_str()), sql.place(viewer.everybody()), sql.place(sql.now));
    // Projects that the viewer may see by what is above them, or may see themselves; and what is in the trash.
    let with = format!(
        "WITH RECURSIVE seen(uuid) AS (
            SELECT head_uuid FROM link WHERE link_class = 'permission' AND tail_uuid IN ({user}, {everybody})
            UNION SELECT uuid FROM project WHERE owner_uuid = {user}
            UNION SELECT project.uuid FROM project JOIN seen ON project.owner_uuid = seen.uuid),
        hidden(uuid) AS (
            SELECT uuid FROM project WHERE trash_at <= {now}
            UNION SELECT project.uuid FROM project JOIN hidden ON project.owner_uuid = hidden.uuid)"
    );
    let mut conditions = vec![format!("(delete_at IS NULL OR delete_at > {now})")];
    if !viewer.admin {
        let mut may_see =
            format!("owner_uuid = {user} OR owner_uuid IN (SELECT uuid FROM seen) OR uuid IN (SELECT uuid FROM seen)");
        if R::TABLE.column("head_uuid").is_some() {
            may_see.push_str(&format!(" OR tail_uuid = {user}"));
        }
        conditions.push(format!("({may_see})"));
    }
    if !list.include_trash {
        conditions.push(format!("(trash_at IS NULL OR trash_at > {now})"));
        conditions.push("owner_uuid NOT IN (SELECT uuid FROM hidden)".to_owned());
    }
    for filter in &list.filters {
        conditions.push(filter.sql(R::TABLE, sql)?);
    }
    Ok(Rows { with, table: R::TABLE.name, conditions: conditions.join(" AND ") })
}

fn order<R: Record>(asked: &[Order]) -> Result<String, Invalid> {
    let newest = [Order { field: "modified_at".to_owned(), descending: true }];
    let mut parts = Vec::new();
    let mut last = true;
    for Order { field, descending } in if asked.is_empty() { &newest } else { asked } {
        let Some(Column { name, kind }) = R::TABLE.column(field) else {
            return Err(Invalid(format!("Invalid attribute '{field}' in order")));
        };
        if *kind == ColumnKind::Json {
            return Err(Invalid(format!("a list cannot be ordered by '{field}'")));
        }
        let direction = if *descending { "DESC" } else { "ASC" };
        // The two databases disagree on where what has no value belongs.
        parts.push(format!("{name} {direction} NULLS LAST"));
        last = *descending;
    }
    parts.push(format!("uuid {}", if last { "DESC" } else { "ASC" }));
    Ok(parts.join(", "))
}
