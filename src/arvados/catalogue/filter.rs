//! Conditions of a list, as clients write them: `[field, operator, operand]`.

use annex_gateway::database::{Dialect, Value};
use annex_protocol::keep::ApiTime;
use serde_json::Value as Json;

use super::table::{Column, ColumnKind, Table};

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// The column, or `properties.NAME`, or `any`.
    pub field: String,
    /// `=`, `in`, `like`, ….
    pub operator: String,
    /// What it is compared with.
    pub operand: Json,
}

/// What a client asked cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

/// SQL under construction: text, and parameters numbered as they come.
pub(super) struct Sql {
    pub(super) dialect: Dialect,
    pub(super) values: Vec<Value>,
    pub(super) now: i64,
}

impl Filter {
    /// Reads a list of conditions.
    pub fn parse_all(filters: &Json) -> Result<Vec<Self>, Invalid> {
        let bad = || Invalid(format!("Invalid filters: {filters} is not a list of [field, operator, operand]"));
        let parse = |filter: &Json| match filter.as_array().map(Vec::as_slice) {
            Some([Json::String(field), Json::String(operator), operand]) => {
                Ok(Self { field: field.clone(), operator: operator.to_ascii_lowercase(), operand: operand.clone() })
            }
            _ => Err(bad()),
        };
        match filters {
            // PostgreSQL has no such text.
            filters if filters.to_string().contains("\\u0000") => Err(bad()),
            Json::Null => Ok(Vec::new()),
            Json::Array(filters) => filters.iter().map(parse).collect(),
            _ => Err(bad()),
        }
    }

    /// Returns the condition in SQL.
    pub(super) fn sql(&self, table: &Table, sql: &mut Sql) -> Result<String, Invalid> {
        let field = self.field.strip_prefix(&format!("{}s.", table.name)).unwrap_or(&self.field);
        if self.operator == "is_a" {
            let kinds: Vec<&str> = match &self.operand {
                Json::String(kind) => vec![kind],
                Json::Array(kinds) => kinds.iter().filter_map(Json::as_str).collect(),
                _ => return Err(self.bad_operand()),
            };
            return Ok(truth(kinds.contains(&table.kind)).to_owned());
        }
        if field == "any" {
            let texts = table.columns.iter().filter(|column| column.kind == ColumnKind::Text);
            let each =
                texts.map(|column| self.compare(column.name, ColumnKind::Text, sql)).collect::<Result<Vec<_>, _>>()?;
            return Ok(format!("({})", each.join(" OR ")));
        }
        if field == "is_trashed" {
            let now = sql.place(sql.now);
            let trashed = format!("(CASE WHEN trash_at <= {now} THEN CAST(1 AS BIGINT) ELSE 0 END)");
            return self.compare(&trashed, ColumnKind::Flag, sql);
        }
        if let Some(member) = field.strip_prefix("properties.") {
            let expression = sql.member("properties", member);
            return match (self.operator.as_str(), &self.operand) {
                ("exists", Json::Bool(true)) => Ok(format!("{expression} IS NOT NULL")),
                ("exists", Json::Bool(false)) => Ok(format!("{expression} IS NULL")),
                _ => self.compare(&expression, ColumnKind::Text, sql),
            };
        }
        let Some(Column { name, kind }) = table.column(field) else {
            return Err(Invalid(format!("Invalid attribute '{field}' in filter")));
        };
        match (kind, self.operator.as_str(), &self.operand) {
            (ColumnKind::Json, "exists", Json::String(member)) => {
                Ok(format!("{} IS NOT NULL", sql.member(name, member)))
            }
            (ColumnKind::Json, ..) => Err(Invalid(format!("Invalid operator '{}' for '{field}'", self.operator))),
            _ => self.compare(name, *kind, sql),
        }
    }

    fn compare(&self, expression: &str, kind: ColumnKind, sql: &mut Sql) -> Result<String, Invalid> {
        let operator = match self.operator.as_str() {
            "=" | "==" => "=",
            "!=" | "<>" => "<>",
            known @ ("<" | "<=" | ">" | ">=") => known,
            known @ ("in" | "not in") => return self.one_of(expression, kind, known == "in", sql),
            known @ ("like" | "ilike" | "not like" | "not ilike") if kind == ColumnKind::Text => {
                // What is to be escaped must follow.
                let whole = |pattern: &&str| (pattern.len() - pattern.trim_end_matches('\\').len()).is_multiple_of(2);
                let pattern = self.operand.as_str().filter(whole).ok_or_else(|| self.bad_operand())?;
                let place = sql.place(pattern);
                let not = if known.starts_with("not") { "NOT " } else { "" };
                return Ok(match known.ends_with("ilike") {
                    true => format!("lower({expression}) {not}LIKE lower({place}) ESCAPE '\\'"),
                    false => format!("{expression} {not}LIKE {place} ESCAPE '\\'"),
                });
            }
            other => return Err(Invalid(format!("Invalid operator '{other}'"))),
        };
        match (operator, &self.operand) {
            ("=", Json::Null) => Ok(format!("{expression} IS NULL")),
            ("<>", Json::Null) => Ok(format!("{expression} IS NOT NULL")),
            (_, operand) => {
                let place = self.value(operand, kind).map(|value| sql.place(value))?;
                // What has no value is unlike any value.
                let unless_null = if operator == "<>" { format!(" OR {expression} IS NULL") } else { String::new() };
                Ok(format!("({expression} {operator} {place}{unless_null})"))
            }
        }
    }

    fn one_of(&self, expression: &str, kind: ColumnKind, within: bool, sql: &mut Sql) -> Result<String, Invalid> {
        let list = self.operand.as_array().ok_or_else(|| self.bad_operand())?;
        let has_null = list.contains(&Json::Null);
        let mut places = Vec::new();
        for operand in list.iter().filter(|operand| !operand.is_null()) {
            places.push(self.value(operand, kind).map(|value| sql.place(value))?);
        }
        let named = match places.is_empty() {
            true => truth(false).to_owned(),
            false => format!("{expression} IN ({})", places.join(", ")),
        };
        Ok(match (within, has_null) {
            (true, false) => format!("({named})"),
            (true, true) => format!("({named} OR {expression} IS NULL)"),
            (false, false) => format!("(NOT ({named}) OR {expression} IS NULL)"),
            (false, true) => format!("(NOT ({named}) AND {expression} IS NOT NULL)"),
        })
    }

    fn value(&self, operand: &Json, kind: ColumnKind) -> Result<Value, Invalid> {
        let found = match (kind, operand) {
            (ColumnKind::Text, Json::String(text)) if !text.contains('\0') => Some(text.as_str().into()),
            (ColumnKind::Text, Json::Number(_) | Json::Bool(_)) => Some(operand.to_string().into()),
            (ColumnKind::Integer, Json::Number(number)) => number.as_i64().map(Value::from),
            (ColumnKind::Integer, Json::String(text)) => text.parse::<i64>().ok().map(Value::from),
            (ColumnKind::Flag, Json::Bool(yes)) => Some((*yes).into()),
            (ColumnKind::Time, Json::String(text)) => ApiTime::parse(text).map(|time| time.micros().into()),
            _ => None,
        };
        found.ok_or_else(|| self.bad_operand())
    }

    fn bad_operand(&self) -> Invalid {
        Invalid(format!("Invalid operand for '{}' {}: {}", self.field, self.operator, self.operand))
    }
}

impl Sql {
    /// Adds a parameter and returns its place in the text.
    pub(super) fn place(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    fn member(&mut self, column: &str, name: &str) -> String {
        self.values.push(self.dialect.member(name));
        self.dialect.json_text(column, self.values.len())
    }
}

fn truth(yes: bool) -> &'static str {
    if yes { "1 = 1" } else { "1 = 0" }
}
