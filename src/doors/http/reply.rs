//! Answers that are not what was asked for: one clear line, and the status that tells a client what may help.

use std::fmt;

use annex_gateway::gateway::{ErrorKind, HasKind};
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

/// After how many seconds a client that found the server busy, or a node out of reach, may come again.
const RETRY_AFTER_SECONDS: &str = "5";

/// Answers with a JSON object.
pub(super) fn json(value: &serde_json::Value) -> Response {
    ([(header::CONTENT_TYPE, annex_protocol::p2p_http::JSON)], value.to_string()).into_response()
}

/// Clients limit the length of a status line.
const REASON_LENGTH: usize = 500;

/// Returns the status of a kind of error. 500 is for what is wrong with this server itself, and for nothing else.
fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Invalid | ErrorKind::BrokenOff => StatusCode::BAD_REQUEST,
        ErrorKind::Denied => StatusCode::FORBIDDEN,
        ErrorKind::Absent => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        // A smaller key would be taken.
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        // RFC 4331 section 6 has this status for quotas: what ends it is less that is stored, not a smaller request.
        ErrorKind::Quota | ErrorKind::NoRoom => StatusCode::INSUFFICIENT_STORAGE,
        // To the client this server is a gateway, and a node answered it with nothing that can be passed on.
        ErrorKind::Damaged | ErrorKind::NodeFailed => StatusCode::BAD_GATEWAY,
        ErrorKind::Unreachable | ErrorKind::Busy => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl Refused {
    /// The answer to an error.
    pub(super) fn of(error: impl HasKind) -> Self {
        Self::of_kind(error.kind(), error.to_string())
    }

    /// The answer to errors of a kind, with a text that tells all of them.
    pub(super) fn of_kind(kind: ErrorKind, text: impl Into<String>) -> Self {
        let refused = Self::new(status(kind), text);
        if refused.status.is_server_error() && kind != ErrorKind::Busy {
            tracing::warn!(%kind, "{refused}");
        }
        refused
    }

    /// A status with its reason.
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), allow: None }
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

    /// So much is going on that the client should come again later.
    pub(super) fn busy(text: impl Into<String>) -> Self {
        Self::of_kind(ErrorKind::Busy, text)
    }

    /// This server itself failed; the text says how.
    pub(super) fn failed(error: impl fmt::Display) -> Self {
        Self::of_kind(ErrorKind::Internal, error.to_string())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
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

#[cfg(test)]
mod tests {
    use annex_gateway::gateway::{GatewayError, NodeFailure, QuotaExceeded};
    use annex_gateway::node::NodeError;

    use super::*;

    /// Returns status, `Retry-After` and reason of the answer to an error.
    fn answer(error: &impl HasKind) -> (u16, Option<String>, String) {
        let response = Refused::of(error).into_response();
        let retry = response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
        let reason = response.extensions().get::<ReasonPhrase>().unwrap();
        (response.status().as_u16(), retry, String::from_utf8(reason.as_bytes().to_vec()).unwrap())
    }

    fn nodes(errors: Vec<NodeError>) -> GatewayError {
        let named = errors.into_iter().map(|source| NodeFailure { node: "a".to_owned(), source });
        GatewayError::Nodes(named.collect())
    }

    #[test]
    fn a_quota_and_a_full_node_are_insufficient_storage_with_their_reason() {
        let quota = QuotaExceeded { quota: 10, used: 9, coming: 0, size: 2, nodes: 1 };
        let (status, retry, reason) = answer(&GatewayError::from(quota));
        assert_eq!((status, retry), (507, None));
        assert!(reason.starts_with("over the quota of this repository"), "{reason}");
        let full = || NodeError::Full("0 bytes are free".to_owned());
        let (status, _, reason) = answer(&nodes(vec![full(), full()]));
        assert_eq!((status, reason.as_str()), (507, "node a: full: 0 bytes are free; node a: full: 0 bytes are free"));
    }

    #[test]
    fn what_may_work_later_says_when_to_come_again() {
        let away = NodeError::Unreachable("no answer in 60 s".to_owned());
        let (status, retry, _) = answer(&nodes(vec![away, NodeError::Full("0 bytes are free".to_owned())]));
        assert_eq!((status, retry.as_deref()), (503, Some(RETRY_AFTER_SECONDS)));
        let (status, retry, _) = answer(&crate::host::traffic::Busy);
        assert_eq!((status, retry.as_deref()), (503, Some(RETRY_AFTER_SECONDS)));
    }

    #[test]
    fn a_node_that_fails_is_no_fault_of_this_server() {
        let failed = NodeError::Failed("input/output error".to_owned());
        assert_eq!(answer(&nodes(vec![failed])).0, 502);
        assert_eq!(answer(&GatewayError::Damaged { node: "a".to_owned() }).0, 502);
        assert_eq!(answer(&GatewayError::NoProbe).0, 500);
    }

    #[test]
    fn what_the_client_must_change_is_told_by_a_status_of_its_own() {
        assert_eq!(answer(&GatewayError::NoContentHere).0, 403);
        assert_eq!(answer(&GatewayError::Gone).0, 404);
        assert_eq!(answer(&GatewayError::Locked { node: "a".to_owned() }).0, 409);
        assert_eq!(answer(&GatewayError::TooLarge { largest: 1 }).0, 413);
        assert_eq!(answer(&GatewayError::NotTheContent).0, 400);
    }
}
