//! What a client wants a record to be, attribute by attribute.

use annex_protocol::keep::ApiTime;
use serde_json::{Map, Value};

use super::ApiError;

/// Attributes as a client sent them. What nobody knows, and what cannot be set, is passed over.
#[derive(Debug, Clone, Default)]
pub struct Attributes(Map<String, Value>);

impl Attributes {
    /// Takes the members of an object.
    pub fn new(members: Map<String, Value>) -> Self {
        Self(members)
    }

    /// Tells whether nothing is set but these.
    pub fn only(&self, names: &[&str]) -> bool {
        self.0.keys().all(|name| names.contains(&name.as_str()))
    }

    /// Returns a text that is set, or set to nothing.
    pub fn text(&self, name: &str) -> Result<Option<Option<&str>>, ApiError> {
        self.take(name, "a text", |value| value.as_str().filter(|text| !text.contains('\0')))
    }

    /// Returns a number that is set, or set to nothing.
    pub fn integer(&self, name: &str) -> Result<Option<Option<i64>>, ApiError> {
        self.take(name, "a number", Value::as_i64)
    }

    /// Returns a flag that is set.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        let read = |value: &Value| match value {
            Value::String(text) => matches!(text.as_str(), "true" | "1").then_some(true).or(Some(false)),
            value => value.as_bool(),
        };
        Ok(self.take(name, "true or false", read)?.map(Option::unwrap_or_default))
    }

    /// Returns a time that is set, or set to nothing, in microseconds since 1970.
    pub fn time(&self, name: &str) -> Result<Option<Option<i64>>, ApiError> {
        self.take(name, "a time", |value| ApiTime::parse(value.as_str()?).map(ApiTime::micros))
    }

    /// Returns the text of a JSON object that is set.
    pub fn object(&self, name: &str) -> Result<Option<String>, ApiError> {
        let read =
            |value: &Value| value.is_object().then(|| value.to_string()).filter(|text| !text.contains("\\u0000"));
        Ok(self.take(name, "an object", read)?.map(|object| object.unwrap_or_else(|| "{}".to_owned())))
    }

    /// Returns the text of a JSON list of texts that is set.
    pub fn list(&self, name: &str) -> Result<Option<String>, ApiError> {
        let read = |value: &Value| {
            let list = value.as_array()?;
            list.iter().all(Value::is_string).then(|| value.to_string()).filter(|text| !text.contains("\\u0000"))
        };
        Ok(self.take(name, "a list of texts", read)?.map(|list| list.unwrap_or_else(|| "[]".to_owned())))
    }

    fn take<'a, T>(
        &'a self,
        name: &str,
        what: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<Option<T>>, ApiError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(value) => match read(value) {
                Some(read) => Ok(Some(Some(read))),
                None => Err(ApiError::Invalid(format!("{name}: this should be {what}"))),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn attributes(value: &Value) -> Attributes {
        Attributes::new(value.as_object().unwrap().clone())
    }

    #[test]
    fn absent_nothing_and_something_are_three() {
        let all = attributes(&json!({"name": null, "description": "x", "trash_at": "1970-01-01T00:00:01Z"}));
        assert_eq!(all.text("owner_uuid").unwrap(), None);
        assert_eq!(all.text("name").unwrap(), Some(None));
        assert_eq!(all.text("description").unwrap(), Some(Some("x")));
        assert_eq!(all.time("trash_at").unwrap(), Some(Some(1_000_000)));
        assert!(!all.only(&["trash_at"]));
    }

    #[test]
    fn the_wrong_kind_is_refused() {
        let all = attributes(&json!({"name": 1, "trash_at": "soon", "properties": [], "storage_classes_desired": [1],
            "replication_desired": "two", "description": "a\u{0}b"}));
        assert!(all.text("name").is_err());
        assert!(all.text("description").is_err());
        assert!(all.time("trash_at").is_err());
        assert!(all.object("properties").is_err());
        assert!(all.list("storage_classes_desired").is_err());
        assert!(all.integer("replication_desired").is_err());
    }
}
