//! How long nodes are waited for: one that hangs is one that cannot be asked.

use std::time::Duration;

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use tokio::time::Instant;

use super::Member;
use crate::node::{Content, FileUpload, Hold, NodeError, Space, Upload};

/// The slowest node that goes through a whole content before it answers, in bytes a second.
const SLOWEST: u64 = 1 << 20;

/// Returns how long a node may need to go through all of a content: to check it, or to fetch it as a file.
pub(super) fn all_of(size: Option<u64>) -> Duration {
    size.map_or(Duration::from_secs(3600), |size| Duration::from_secs(size / SLOWEST))
}

/// Waits for a node's answer. A node that gives none in time counts as one that cannot be asked.
pub(super) async fn answered<T>(
    limit: Duration,
    asking: impl Future<Output = Result<T, NodeError>> + Send,
) -> Result<T, NodeError> {
    match tokio::time::timeout(limit, asking).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(NodeError::Unreachable(format!("no answer in {} s", limit.as_secs()))),
    }
}

/// The questions of [`crate::node::Node`], each with its deadline.
impl Member {
    /// Tells whether it gave no answer lately, so that others are better asked first.
    pub(super) fn is_silent(&self) -> bool {
        self.silence.lasts(self.patience.answer)
    }

    pub(super) async fn present(&self, key: &Key) -> Result<bool, NodeError> {
        self.silence.broken_by(self.patience.answer, self.node.present(key)).await
    }

    pub(super) async fn get(&self, key: &Key, offset: u64) -> Result<Option<Content>, NodeError> {
        let began = Instant::now();
        let content = answered(self.patience.answer + all_of(key.content_size()), self.node.get(key, offset)).await;
        self.silence.note(self.patience.answer, began, content.as_ref().err());
        content
    }

    pub(super) async fn put(&self, key: &Key) -> Result<Box<dyn Upload>, NodeError> {
        self.silence.broken_by(self.patience.answer, self.node.put(key)).await
    }

    pub(super) async fn put_as(&self, key: &Key, file: &AssociatedFile) -> Result<Box<dyn Upload>, NodeError> {
        self.silence.broken_by(self.patience.answer, self.node.put_as(key, file)).await
    }

    pub(super) async fn put_file(&self, key: &Key) -> Result<Option<Box<dyn FileUpload>>, NodeError> {
        self.silence.broken_by(self.patience.answer, self.node.put_file(key)).await
    }

    pub(super) async fn space(&self) -> Result<Option<Space>, NodeError> {
        self.silence.broken_by(self.patience.answer, self.node.space()).await
    }

    pub(super) async fn held(&self) -> Result<Option<u64>, NodeError> {
        self.silence.broken_by(self.patience.answer, self.node.held()).await
    }

    pub(super) async fn remove(&self, key: &Key) -> Result<(), NodeError> {
        answered(self.patience.commit(), self.node.remove(key)).await
    }

    pub(super) async fn remove_and_tell(&self, key: &Key) -> Result<Vec<Uuid>, NodeError> {
        answered(self.patience.commit(), self.node.remove_and_tell(key)).await
    }

    pub(super) async fn set_aside(&self, key: &Key) -> Result<(), NodeError> {
        answered(self.patience.commit(), self.node.set_aside(key)).await
    }

    pub(super) async fn lock(&self, key: &Key) -> Result<Option<Box<dyn Hold>>, NodeError> {
        self.silence.broken_by(self.patience.answer, self.node.lock(key)).await
    }
}
