//! Answers that are not what was asked for: one clear line, and the status that tells a client what may help.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::ext::ReasonPhrase;

/// A request that was refused, or failed.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    text: String,
    /// The methods that there are, if it was asked for with another one.
    allow: Option<&'static str>,
}

/// After how many seconds a client that found the server busy may come again.
const RETRY_AFTER_SECONDS: &str = "5";

/// Answers with a JSON object.
pub(super) fn json(value: &serde_json::Value) -> Response {
    ([(header::CONTENT_TYPE, annex_protocol::p2p_http::JSON)], value.to_string()).into_response()
}

/// Clients limit the length of a status line.
const REASON_LENGTH: usize = 500;

impl Refused {
    /// A status with its reason.
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), allow: None }
    }

    /// Returns the reason.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The request cannot be understood.
    pub(super) fn bad_request(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// A name and a password are needed, or other ones.
    pub(super) fn unauthorized(text: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, text)
    }

    /// Not allowed, and another password would not help.
    pub(super) fn forbidden(text: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, text)
    }

    /// There is no such thing.
    pub(super) fn not_found(text: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, text)
    }

    /// There is such a thing, but only by other methods.
    pub(super) fn method(allow: &'static str) -> Self {
        let text = format!("not by this method; allowed: {allow}");
        Self { allow: Some(allow), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, text) }
    }

    /// What is asked goes against something that holds now, such as a lock.
    pub(super) fn conflict(text: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, text)
    }

    /// So much is going on that the client should come again later.
    pub(super) fn busy(text: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, text)
    }

    /// It was tried, and failed; the text names what failed.
    pub(super) fn failed(error: impl std::fmt::Display) -> Self {
        tracing::warn!("{error}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let line = self.text.replace(['\n', '\r'], " ");
        let reason: String =
            line.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' }).take(REASON_LENGTH).collect();
        let mut response = (self.status, line + "\n").into_response();
        // Of a refusal git-annex shows its user the status line, not the body.
        if let Ok(reason) = ReasonPhrase::try_from(reason) {
            response.extensions_mut().insert(reason);
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain;charset=utf-8"));
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        match self.status {
            StatusCode::UNAUTHORIZED => {
                let challenge = HeaderValue::from_static("Basic realm=\"git-annex\", charset=\"UTF-8\"");
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
            }
            _ => {}
        }
        response
    }
}
