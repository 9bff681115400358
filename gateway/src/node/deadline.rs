//! A node whose answers have a deadline: one that hangs counts as one that cannot be asked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use tokio::time::Instant;

use super::error::NodeError;
use super::patience::Patience;
use super::port::{Capacity, Content, Hold, Incoming, Node, Onward};
use super::silence::Silence;

/// The slowest node that goes through a whole content before it answers, in bytes a second.
const SLOWEST: u64 = 1 << 20;

/// Returns how long a node may need to go through all of a content: to check it, or to fetch it as a file.
pub(crate) fn all_of(size: Option<u64>) -> Duration {
    size.map_or(Duration::from_secs(3600), |size| Duration::from_secs(size / SLOWEST))
}

/// Waits for a node's answer. A node that gives none in time counts as one that cannot be asked.
pub(crate) async fn answered<T>(
    limit: Duration,
    asking: impl Future<Output = Result<T, NodeError>> + Send,
) -> Result<T, NodeError> {
    match tokio::time::timeout(limit, asking).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(NodeError::Unreachable(format!("no answer in {} s", limit.as_secs()))),
    }
}

/// A node whose answers are waited for until a deadline. What comes after an answer (the bytes of a content, the pieces of
/// an upload, the end of a lock) is waited for by whoever has it in hand.
pub(crate) struct Deadlines {
    node: Arc<dyn Node>,
    patience: Patience,
    silence: Arc<Silence>,
}

impl Deadlines {
    /// Waits for a node; `silence` remembers whether it gave no answer.
    pub(crate) fn new(node: Arc<dyn Node>, patience: Patience, silence: Arc<Silence>) -> Self {
        Self { node, patience, silence }
    }

    /// Waits for an answer that comes soon, or for a shorter time where the last one did not come.
    async fn soon<T>(&self, asking: impl Future<Output = Result<T, NodeError>> + Send) -> Result<T, NodeError> {
        self.silence.broken_by(self.patience.answer, asking).await
    }
}

#[async_trait]
impl Node for Deadlines {
    async fn present(&self, key: &Key) -> Result<bool, NodeError> {
        self.soon(self.node.present(key)).await
    }

    async fn get(&self, key: &Key, offset: u64) -> Result<Option<Content>, NodeError> {
        let began = Instant::now();
        let content = answered(self.patience.answer + all_of(key.content_size()), self.node.get(key, offset)).await;
        self.silence.note(self.patience.answer, began, content.as_ref().err());
        content
    }

    async fn put(&self, key: &Key, file: &AssociatedFile) -> Result<Incoming, NodeError> {
        self.soon(self.node.put(key, file)).await
    }

    async fn remove(&self, key: &Key) -> Result<Vec<Uuid>, NodeError> {
        answered(self.patience.commit(), self.node.remove(key)).await
    }

    async fn set_aside(&self, key: &Key) -> Result<(), NodeError> {
        answered(self.patience.commit(), self.node.set_aside(key)).await
    }

    async fn lock(&self, key: &Key) -> Result<Option<Box<dyn Hold>>, NodeError> {
        self.soon(self.node.lock(key)).await
    }

    async fn capacity(&self) -> Result<Capacity, NodeError> {
        self.soon(self.node.capacity()).await
    }

    fn onward(&self, gateways: &BTreeSet<Uuid>) -> Onward {
        match self.node.onward(gateways) {
            Onward::By(node) => Onward::By(Arc::new(Self::new(node, self.patience, Arc::clone(&self.silence)))),
            onward @ (Onward::AsIs | Onward::LeadsBack) => onward,
        }
    }
}
