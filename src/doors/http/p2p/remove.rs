//! remove and remove-before.

use annex_gateway::gateway::{ErrorKind, Removed, joined};
use annex_protocol::p2p::Version;
use axum::response::Response;
use serde_json::json;

use super::{Asked, failed};
use crate::doors::http::reply::{self, Refused};
use crate::host::traffic::{Operation, Outcome};

impl Asked {
    pub(super) async fn remove(&self, version: Version, before: Option<u64>) -> Result<Response, Refused> {
        let key = self.key()?;
        let request = self.scope.request(Operation::Remove, key);
        let Removed { gone, failures } = match self.gateway.remove(self.target, key, before).await {
            Ok(removed) => removed,
            Err(error) => return Err(failed(request, &error)),
        };
        self.hub.commit_soon(&self.hosted);
        let failure = joined(&failures);
        let only_refused = failures.iter().all(|failure| failure.kind() == ErrorKind::Conflict);
        request.end(&if failures.is_empty() { Outcome::Done(&gone) } else { Outcome::Failed(&failure) });
        let others = self.others(&gone);
        match failures.is_empty() {
            removed if version.has_plus() && (removed || !others.is_empty()) => {
                for failure in failures {
                    tracing::warn!("removing {key}: {failure}");
                }
                Ok(reply::json(&json!({ "plusuuids": others, "removed": removed })))
            }
            true => Ok(reply::json(&json!({ "removed": true }))),
            // The client shows this to its user, but would not know the reason from a plain no.
            false if only_refused => Err(Refused::conflict(failure)),
            false => Err(Refused::failed(failure)),
        }
    }
}
