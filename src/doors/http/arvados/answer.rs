//! Answers in the form that Arvados clients read.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::arvados::ApiError;
use crate::arvados::catalogue::List;

/// Returns a refusal, or a failure: a status, and a text that clients show. `now` is in seconds since the epoch.
pub(super) fn failed(error: &ApiError, now: u64) -> Response {
    let status = match error {
        ApiError::Unauthorized(_) => StatusCode::UNAUTHORIZED,
        ApiError::Forbidden(_) => StatusCode::FORBIDDEN,
        ApiError::NotFound(_) => StatusCode::NOT_FOUND,
        ApiError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
        ApiError::Conflict(_) => StatusCode::CONFLICT,
        ApiError::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
        ApiError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    if status.is_server_error() {
        tracing::warn!("{error}");
    }
    let random = uuid::Uuid::new_v4().simple().to_string();
    let token = format!("{}+{}", now, random.get(..8).unwrap_or_default());
    let body = json!({ "errors": [error.to_string()], "error_token": token });
    let mut response = (status, axum::Json(body)).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

/// Returns a page of a list; `kind` is that of its items.
pub(super) fn page(kind: &str, items: &[Value], list: &List, available: Option<i64>) -> Value {
    let mut page = json!({
        "kind": format!("{kind}List"),
        "etag": "",
        "self_link": "",
        "items": items,
        "offset": list.offset,
        "limit": list.limit,
    });
    if let (Some(available), Some(page)) = (available, page.as_object_mut()) {
        page.insert("items_available".to_owned(), available.into());
    }
    page
}
