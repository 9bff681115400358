//! The body of a request.

use std::time::Duration;

use annex_gateway::gateway::{ErrorKind, HasKind};
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body_util::BodyExt;

/// Why no more of a body came.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// The connection broke off.
    #[error("the upload broke off: {0}")]
    Off(#[from] axum::Error),
    /// Nothing came for too long.
    #[error("nothing came for {} s", .0.as_secs())]
    Stalled(Duration),
}

impl HasKind for BodyError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::BrokenOff
    }
}

/// Returns the next bytes of a body, `None` at its end.
pub(super) async fn data(body: &mut Body) -> Result<Option<Bytes>, BodyError> {
    while !body.is_end_stream() {
        let Some(frame) = body.frame().await else { break };
        if let Ok(bytes) = frame?.into_data() {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

/// The same; waits no longer than `patience`.
pub(super) async fn next(body: &mut Body, patience: Duration) -> Result<Option<Bytes>, BodyError> {
    tokio::time::timeout(patience, data(body)).await.unwrap_or(Err(BodyError::Stalled(patience)))
}
