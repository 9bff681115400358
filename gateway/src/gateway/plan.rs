//! Which nodes an upload goes to.

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use futures_util::future::join_all;
use keep_store::base::task::blocking;

use super::{Gateway, GatewayError, Member, NodeFailure, Target};

/// What an upload is to do.
pub(super) struct Plan {
    /// The nodes that the content is to be stored on.
    pub(super) targets: Vec<Member>,
    /// The nodes that have it already.
    pub(super) holders: Vec<Uuid>,
    /// Nodes that could not be asked, and why.
    pub(super) failures: Vec<NodeFailure>,
}

impl Plan {
    /// Decides where an upload goes.
    ///
    /// To a node: there, if it does not have the content. To the cluster: to the nodes without it that want it by
    /// preferred content as the git-annex branch has it now.
    pub(super) async fn make(
        gateway: &Gateway,
        target: Target,
        key: &Key,
        file: &AssociatedFile,
    ) -> Result<Self, GatewayError> {
        let mut plan = Self { targets: Vec::new(), holders: Vec::new(), failures: Vec::new() };
        let asked =
            gateway.members(target).iter().map(|member| async move { (member, member.node.present(key).await) });
        let mut without = Vec::new();
        for (member, present) in join_all(asked).await {
            match present {
                Ok(true) => plan.holders.push(member.uuid.clone()),
                Ok(false) => without.push(member.clone()),
                Err(source) => plan.failures.push(member.failure(source)),
            }
        }
        if target == Target::Cluster {
            without.retain(|member: &Member| !member.draining);
            let staying = plan.holders.iter().filter(|uuid| !gateway.is_draining(uuid)).cloned().collect::<Vec<_>>();
            without = choose(gateway, key, file, without, &staying).await?;
        }
        plan.targets = without;
        Ok(plan)
    }
}

/// Chooses among the nodes of the cluster that lack a key.
async fn choose(
    gateway: &Gateway,
    key: &Key,
    file: &AssociatedFile,
    without: Vec<Member>,
    holders: &[Uuid],
) -> Result<Vec<Member>, GatewayError> {
    if without.is_empty() {
        return Ok(without);
    }
    let (gateway, asked_key, name) = (gateway.clone(), key.clone(), file.decode());
    let (absent, present) = (without.iter().map(|member| member.uuid.clone()).collect::<Vec<_>>(), holders.to_vec());
    let decide = move || gateway.shared.placer.choose(&asked_key, name.as_deref(), &absent, &present);
    let chosen = blocking(decide).await?;
    Ok(without.into_iter().filter(|member| chosen.contains(&member.uuid)).collect())
}
