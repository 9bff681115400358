//! Which nodes a key goes to.

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use futures_util::future::join_all;

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
    pub(super) async fn plan(&self, target: Target, key: &Key, _file: &AssociatedFile) -> Result<Plan, GatewayError> {
        let mut plan = Plan { targets: Vec::new(), holders: Vec::new(), failures: Vec::new() };
        let asked = self.members(target).iter().map(|member| async move { (member, member.node.present(key).await) });
        for (member, present) in join_all(asked).await {
            match present {
                Ok(true) => plan.holders.push(member.uuid.clone()),
                Ok(false) => plan.targets.push(member.clone()),
                Err(source) => plan.failures.push(member.failed(source).to_string()),
            }
        }
        Ok(plan)
    }
}
