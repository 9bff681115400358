//! A request as Arvados clients write them: query, form or JSON, and methods in disguise.
//!
//! A client whose URL is too long sends a GET as a POST with its query in the body, and says so in a header: without that
//! header it would make something instead of asking for it. Source: `docs/spec/keep-collections.md` §4.2.

use annex_protocol::p2p_http::{decode_query, percent_decode};
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};

use super::MAX_REQUEST;
use crate::arvados::attributes::Attributes;
use crate::arvados::catalogue::{Filter, List, Order};
use crate::arvados::collections::Options;
use crate::arvados::json::Select;
use crate::arvados::{ApiError, Replace};

/// A request, whatever way it was written.
pub(super) struct Call {
    /// What it really asks.
    pub(super) method: Method,
    /// What follows `/arvados/v1/`, part by part.
    pub(super) path: Vec<String>,
    /// Parameters, from the query and from the body.
    parameters: Map<String, Value>,
    /// How the request came, and its headers.
    pub(super) parts: Parts,
}

const DEFAULT_LIMIT: i64 = 100;
const MAX_LIMIT: i64 = 1000;

/// Returns how many bytes a body may turn out to have.
pub(super) fn size(headers: &HeaderMap) -> usize {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    match length {
        Some(length) => MAX_REQUEST.min(length),
        None if headers.contains_key(header::TRANSFER_ENCODING) => MAX_REQUEST,
        None => 0,
    }
}

impl Call {
    /// Takes a request that only asks, and leaves a body unread.
    pub(super) fn without_body(parts: Parts) -> Result<Self, ApiError> {
        let mut parameters = Map::new();
        form(parts.uri.query().unwrap_or_default().as_bytes(), &mut parameters);
        let call = Self::new(parts, parameters)?;
        if call.method == Method::GET { Ok(call) } else { Err(call.unknown()) }
    }

    /// Reads a request to its end.
    pub(super) async fn read(parts: Parts, body: Body) -> Result<Self, ApiError> {
        let mut parameters = Map::new();
        form(parts.uri.query().unwrap_or_default().as_bytes(), &mut parameters);
        let body = Limited::new(body, MAX_REQUEST).collect().await.map_err(|error| match error.downcast_ref() {
            Some(LengthLimitError { .. }) => ApiError::Invalid("the request is larger than 128 MiB".to_owned()),
            None => ApiError::Invalid(format!("the request broke off: {error}")),
        })?;
        let body = body.to_bytes();
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if kind.starts_with("application/x-www-form-urlencoded") {
            form(&body, &mut parameters);
        } else if !body.is_empty() {
            let read =
                keep_store::base::task::blocking(move || serde_json::from_slice::<Map<String, Value>>(&body)).await;
            parameters.extend(read.map_err(|error| ApiError::Invalid(format!("the body is no JSON object: {error}")))?);
        }
        Self::new(parts, parameters)
    }

    fn new(parts: Parts, mut parameters: Map<String, Value>) -> Result<Self, ApiError> {
        let disguised = parts.headers.get("x-http-method-override").and_then(|value| value.to_str().ok());
        let disguised = disguised.map(str::to_owned).or_else(|| match parameters.remove("_method") {
            Some(Value::String(method)) => Some(method),
            _ => None,
        });
        let method = match disguised.filter(|_| parts.method == Method::POST) {
            Some(method) => method.to_ascii_uppercase().parse().unwrap_or(Method::POST),
            // The server leaves the body of the answer out.
            None if parts.method == Method::HEAD => Method::GET,
            None => parts.method.clone(),
        };
        let path = parts.uri.path().trim_start_matches("/arvados/v1/").trim_end_matches('/').split('/');
        let path = path.map(|part| String::from_utf8_lossy(&percent_decode(part.as_bytes())).into_owned());
        let path: Vec<String> = path.collect();
        if path.iter().any(|part| part.contains('\0')) {
            return Err(ApiError::Invalid("no name has a NUL in it".to_owned()));
        }
        Ok(Self { method, path, parameters, parts })
    }

    /// Nothing answers to this.
    pub(super) fn unknown(&self) -> ApiError {
        ApiError::NotFound(format!("{} {}: there is no such call", self.method, self.path.join("/")))
    }

    /// Returns what a record is to become: the member named after the resource, or the whole body.
    pub(super) fn attributes(&self, resource: &str) -> Result<Attributes, ApiError> {
        match self.json(resource)? {
            Some(Value::Object(members)) => Ok(Attributes::new(members)),
            Some(_) => Err(ApiError::Invalid(format!("{resource}: this should be an object"))),
            None => Ok(Attributes::new(self.parameters.clone())),
        }
    }

    pub(super) fn options(&self) -> Result<Options, ApiError> {
        let replace_files = match self.json("replace_files")? {
            None | Some(Value::Null) => None,
            Some(edits) => Some(Replace::parse(&edits)?),
        };
        Ok(Options { ensure_unique_name: self.flag("ensure_unique_name"), replace_files })
    }

    /// Returns which part of a list is asked for.
    pub(super) fn list(&self) -> Result<List, ApiError> {
        let filters = Filter::parse_all(&self.json("filters")?.unwrap_or_default())?;
        let order = match self.json("order")? {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(text)) => text.split(',').map(Order::parse).collect::<Result<_, _>>()?,
            Some(Value::Array(parts)) => {
                parts.iter().filter_map(Value::as_str).map(Order::parse).collect::<Result<_, _>>()?
            }
            Some(other) => return Err(ApiError::Invalid(format!("order: {other} is no list of fields"))),
        };
        Ok(List {
            filters,
            order,
            limit: self.number("limit")?.unwrap_or(DEFAULT_LIMIT).clamp(0, MAX_LIMIT),
            offset: self.number("offset")?.unwrap_or(0).max(0),
            include_trash: self.flag("include_trash"),
            whole: false,
            count: self.parameters.get("count").is_none_or(|count| count != "none"),
        })
    }

    /// Returns which members of an object are asked for.
    pub(super) fn select(&self) -> Result<Select, ApiError> {
        match self.json("select")? {
            None | Some(Value::Null) => Ok(Select(None)),
            Some(Value::Array(names)) if names.is_empty() => Ok(Select(None)),
            Some(Value::Array(names)) => {
                Ok(Select(Some(names.iter().filter_map(Value::as_str).map(str::to_owned).collect())))
            }
            Some(other) => Err(ApiError::Invalid(format!("select: {other} is no list of fields"))),
        }
    }

    /// Tells whether a parameter says yes.
    pub(super) fn flag(&self, name: &str) -> bool {
        match self.parameters.get(name) {
            Some(Value::Bool(yes)) => *yes,
            Some(Value::String(text)) => matches!(text.as_str(), "true" | "True" | "1"),
            _ => false,
        }
    }

    fn number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let invalid = || ApiError::Invalid(format!("{name}: this should be a number"));
        match self.parameters.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => text.parse().map(Some).map_err(|_| invalid()),
            Some(value) => value.as_i64().map(Some).ok_or_else(invalid),
        }
    }

    /// Returns a parameter; text that looks like an object or a list is read as one.
    pub(super) fn json(&self, name: &str) -> Result<Option<Value>, ApiError> {
        match self.parameters.get(name) {
            Some(Value::String(text)) if text.trim_start().starts_with(['{', '[']) => {
                let read = serde_json::from_str(text);
                read.map(Some).map_err(|error| ApiError::Invalid(format!("{name}: {error}")))
            }
            found => Ok(found.cloned()),
        }
    }
}

/// Reads `name=value&…` into parameters.
fn form(text: &[u8], parameters: &mut Map<String, Value>) {
    for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let mut halves = pair.splitn(2, |byte| *byte == b'=').map(decode_query);
        let mut half = || String::from_utf8_lossy(&halves.next().unwrap_or_default()).into_owned();
        let (name, value) = (half(), half());
        parameters.insert(name, value.into());
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    async fn call(request: Request<Body>) -> Result<Call, ApiError> {
        let (parts, body) = request.into_parts();
        Call::read(parts, body).await
    }

    const FORM: &str = "application/x-www-form-urlencoded";

    #[tokio::test]
    async fn a_long_get_comes_as_a_post() {
        let body = "filters=%5B%5B%22uuid%22%2C%22in%22%2C%5B%22a%22%5D%5D%5D&limit=7&order=created_at+asc&count=none";
        for (name, value, body) in
            [("x-http-method-override", "GET", body.to_owned()), ("x-other", "", format!("_method=GET&{body}"))]
        {
            let request = Request::post("/arvados/v1/collections?alt=json");
            let request = request.header("content-type", FORM).header(name, value).body(Body::from(body)).unwrap();
            let call = call(request).await.unwrap();
            assert_eq!((&call.method, call.path.as_slice()), (&Method::GET, &["collections".to_owned()][..]));
            let list = call.list().unwrap();
            assert_eq!((list.limit, list.count, list.filters.len()), (7, false, 1));
            assert_eq!(list.order, [Order { field: "created_at".to_owned(), descending: false }]);
        }
    }

    #[tokio::test]
    async fn head_asks_as_get_does_and_only_a_question_has_no_body() {
        let request = |method: &str| Request::builder().method(method).uri("/arvados/v1/config?alt=json");
        let head = request("HEAD").body(Body::empty()).unwrap();
        assert_eq!(call(head).await.unwrap().method, Method::GET);
        let parts = |method: &str| request(method).body(()).unwrap().into_parts().0;
        assert!(Call::without_body(parts("GET")).is_ok() && Call::without_body(parts("HEAD")).is_ok());
        assert!(Call::without_body(parts("POST")).is_err());
    }

    #[tokio::test]
    async fn attributes_are_the_body_or_a_member_of_it() {
        for (kind, body) in [
            ("application/json", r#"{"name": "x"}"#.to_owned()),
            ("application/json", r#"{"collection": {"name": "x"}, "ensure_unique_name": true}"#.to_owned()),
            (FORM, "collection=%7B%22name%22%3A%22x%22%7D&ensure_unique_name=true".to_owned()),
        ] {
            let request = Request::post("/arvados/v1/collections").header("content-type", kind);
            let call = call(request.body(Body::from(body)).unwrap()).await.unwrap();
            assert_eq!(call.attributes("collection").unwrap().text("name").unwrap(), Some(Some("x")));
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_refused() {
        let request = Request::post("/arvados/v1/collections").body(Body::from("[]")).unwrap();
        assert!(call(request).await.is_err());
        let request = Request::get("/arvados/v1/collections?filters=%5B&limit=x&select=1").body(Body::empty()).unwrap();
        let call = call(request).await.unwrap();
        assert!(call.list().is_err() && call.select().is_err());
    }

    #[tokio::test]
    async fn a_hash_in_the_path_is_unescaped() {
        let request = Request::get("/arvados/v1/collections/d41d8cd98f00b204e9800998ecf8427e%2B0?alt=json");
        let call = call(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(call.path, ["collections", "d41d8cd98f00b204e9800998ecf8427e+0"]);
    }
}
