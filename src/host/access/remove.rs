//! Removing content for a client.

use annex_gateway::gateway::{GatewayError, Removed};
use annex_protocol::key::Key;

use super::Access;
use crate::host::traffic::Operation;

impl Access {
    /// Removes a key's content, and tells from which nodes. With `before`, nothing is removed from that time on (in the
    /// gateway's own seconds).
    pub async fn remove(&self, key: &Key, before: Option<u64>) -> Result<Removed, GatewayError> {
        let request = self.scope.request(Operation::Remove, key);
        let removed = request.settle(self.gateway.remove(self.target, key, before).await)?;
        self.commits.note();
        for failure in &removed.failures {
            tracing::warn!("removing {key}: {failure}");
        }
        Ok(removed)
    }
}
