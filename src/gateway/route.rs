//! Which nodes a key goes to.

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;

use super::{Gateway, GatewayError, Member, Target};

/// What a PUT is to do.
pub(super) struct Plan {
    /// The nodes that the content is to be stored on.
    pub(super) targets: Vec<Member>,
    /// The nodes that have it already.
    pub(super) holders: Vec<Uuid>,
    /// Nodes that could not be asked, and why.
    pub(super) failures: Vec<String>,
}

impl Gateway {
    /// Decides where an upload goes.
    pub(super) async fn plan(&self, target: Target, key: &Key, file: &AssociatedFile) -> Result<Plan, GatewayError> {
        todo!()
    }
}
