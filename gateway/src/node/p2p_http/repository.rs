//! A repository behind a P2P server on HTTP, and this gateway as its client.

use std::collections::BTreeSet;
use std::sync::Arc;

use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;
use serde::Deserialize;
use tokio::sync::OnceCell;

use super::client::{Client, Server};
use crate::node::error::NodeError;
use crate::node::patience::Patience;
use crate::node::peer::Peer;

/// How many bytes of content are meant to be in a body.
pub(super) const DATA_LENGTH: &str = "X-git-annex-data-length";

/// A repository behind a server. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Repository {
    connections: Arc<Connections>,
    pub(super) peer: Arc<Peer>,
}

struct Connections {
    server: Server,
    patience: Patience,
    /// Made when it is first needed, and again as long as that fails.
    client: OnceCell<Client>,
}

#[derive(Deserialize)]
struct Present {
    present: bool,
}

impl Repository {
    pub(super) fn new(server: Server, peer: Peer, patience: Patience) -> Self {
        let connections = Connections { server, patience, client: OnceCell::new() };
        Self { connections: Arc::new(connections), peer: Arc::new(peer) }
    }

    /// Returns the same for requests that came through these gateways; `None` if it leads back to one of them.
    pub(super) fn past(&self, gateways: &BTreeSet<Uuid>) -> Option<Self> {
        let peer = Arc::new(self.peer.past(gateways)?);
        Some(Self { connections: Arc::clone(&self.connections), peer })
    }

    pub(super) fn patience(&self) -> Patience {
        self.connections.patience
    }

    pub(super) async fn client(&self) -> Result<&Client, NodeError> {
        let Connections { server, patience, client } = &*self.connections;
        client.get_or_try_init(|| Client::new(server, *patience)).await
    }

    /// Tells whether the repository has a key.
    pub(super) async fn present(&self, key: &Key) -> Result<bool, NodeError> {
        let answer: Present = self.client().await?.ask(&self.peer, "checkpresent", key).await?;
        Ok(answer.present)
    }
}

/// Reads UUIDs of an answer; what is none is left out.
pub(super) fn uuids(named: &[String]) -> Vec<Uuid> {
    named.iter().filter_map(|uuid| Uuid::parse(uuid.as_bytes())).collect()
}
