//! remove and remove-before.

use annex_gateway::gateway::joined;
use annex_protocol::p2p::Version;
use axum::response::Response;
use serde_json::json;

use crate::doors::http::key_request::KeyRequest;
use crate::doors::http::reply::{self, Refused};

impl KeyRequest {
    pub(super) async fn remove(&self, version: Version, before: Option<u64>) -> Result<Response, Refused> {
        let removed = self.access.remove(self.key()?, before).await.map_err(Refused::of)?;
        let (kind, all) = (removed.kind(), removed.failures.is_empty());
        let others = self.others(removed.gone);
        if version.has_plus() && (all || !others.is_empty()) {
            return Ok(reply::json(&json!({ "plusuuids": others, "removed": all })));
        }
        match all {
            true => Ok(reply::json(&json!({ "removed": true }))),
            // The client shows this to its user, but would not know the reason from a plain no.
            false => Err(Refused::of_kind(kind, joined(&removed.failures))),
        }
    }
}
