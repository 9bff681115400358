//! What a node's requests, uploads and downloads share: its programs, and what it remembers.

use std::sync::Arc;

use annex_protocol::external::Response;
use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;

use super::ask::Watch;
use super::layout::{Layout, NamedRequest};
use super::pool::Pool;
use super::remembered::{About, Remembered};
use crate::node::error::NodeError;
use crate::spool::Spool;

/// An external special remote.
pub(super) struct Remote {
    pub(super) pool: Arc<Pool>,
    pub(super) remembered: Remembered,
    pub(super) spool: Spool,
    pub(super) layout: Layout,
    pub(super) uuid: Uuid,
}

impl Remote {
    /// Asks the program for something.
    pub(super) async fn ask(&self, request: NamedRequest) -> Result<Response, NodeError> {
        self.pool.run(request, Watch::default()).await
    }

    /// Asks the program whether it has a key, whatever came back when it was last retrieved.
    pub(super) async fn has(&self, key: &Key) -> Result<bool, NodeError> {
        let Some(ask) = self.layout.check_present(key) else { return Ok(false) };
        match self.ask(ask).await? {
            Response::CheckPresentSuccess { .. } => Ok(true),
            Response::CheckPresentFailure { .. } => Ok(false),
            Response::CheckPresentUnknown { message, .. } => Err(failed("CHECKPRESENT", message.as_bytes())),
            other => Err(unusable("CHECKPRESENT", &other)),
        }
    }

    /// Remembers that what a key's content should be is not: it counts as gone until it is stored again.
    pub(super) async fn condemn(&self, key: &Key, reason: &str) -> Result<(), NodeError> {
        tracing::error!("node {}: {key}: {reason}; it counts as gone", self.pool.host.name);
        self.remembered.set(About::Bad, key.as_bytes(), reason).await
    }
}

/// What a program says of its failure. Nothing is decided by its words: programs of all kinds write them.
pub(super) fn failed(request: &str, message: &[u8]) -> NodeError {
    match message {
        [] => NodeError::Failed(format!("{request} failed with no reason given")),
        text => NodeError::Failed(format!("{request}: {}", String::from_utf8_lossy(text))),
    }
}

/// An answer that the protocol allows, and this host has no use for.
pub(super) fn unusable(request: &str, response: &Response) -> NodeError {
    match response {
        Response::UnsupportedRequest => NodeError::Unsupported(format!("the program does not support {request}")),
        other => NodeError::Unsupported(format!("{request}: the program wants what this host does not do: {other:?}")),
    }
}
