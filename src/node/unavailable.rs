//! A node that could not be opened.

use annex_protocol::key::Key;
use async_trait::async_trait;

use super::{Content, Node, NodeError, Upload};

/// Stands for a node that could not be opened: every request to it fails with the reason, so that what is on it stays
/// unknown rather than absent, and other nodes go on.
pub struct Unavailable(String);

impl Unavailable {
    /// Makes the stand-in for a node that could not be opened because of `reason`.
    pub fn new(reason: String) -> Self {
        Self(reason)
    }

    fn refuse<T>(&self) -> Result<T, NodeError> {
        Err(NodeError::Unreachable(self.0.clone()))
    }
}

#[async_trait]
impl Node for Unavailable {
    async fn present(&self, _: &Key) -> Result<bool, NodeError> {
        self.refuse()
    }

    async fn get(&self, _: &Key, _: u64) -> Result<Option<Content>, NodeError> {
        self.refuse()
    }

    async fn put(&self, _: &Key) -> Result<Box<dyn Upload>, NodeError> {
        self.refuse()
    }

    async fn remove(&self, _: &Key) -> Result<(), NodeError> {
        self.refuse()
    }
}
