//! Who is behind a node of the P2P protocol, and who asks.

use std::collections::BTreeSet;

use annex_protocol::uuid::Uuid;

/// The repository behind a node, and this gateway as its client.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The repository, node or cluster that is asked for.
    pub uuid: Uuid,
    /// The gateway that it is reached through, if that has a UUID of its own.
    pub gateway: Option<Uuid>,
    /// What this gateway calls itself.
    pub client: Uuid,
    /// What the peer must not ask in turn: this gateway, and those that a request came through.
    pub bypass: BTreeSet<Uuid>,
}

impl Peer {
    /// Returns the peer for requests that came through these gateways; `None` if it leads back to one of them.
    pub(super) fn past(&self, gateways: &BTreeSet<Uuid>) -> Option<Self> {
        let leads_back = gateways.contains(&self.uuid) || self.gateway.as_ref().is_some_and(|g| gateways.contains(g));
        (!leads_back).then(|| Self { bypass: self.bypass.union(gateways).cloned().collect(), ..self.clone() })
    }
}
