//! Content to a program: a complete file, which the gateway writes for all nodes that need one.

use std::path::Path;
use std::sync::Arc;

use annex_protocol::external::{Direction, Response};
use annex_protocol::key::Key;
use async_trait::async_trait;

use super::ask::Watch;
use super::remembered::About;
use super::remote::{Remote, failed, unusable};
use crate::node::error::NodeError;
use crate::node::port::FileUpload;

/// STORE of a complete file.
pub(super) struct Storing {
    node: Arc<Remote>,
    key: Key,
}

impl Storing {
    pub(super) fn new(node: &Arc<Remote>, key: &Key) -> Result<Self, NodeError> {
        // The name of the file does not matter for that.
        match node.layout.check_present(key) {
            Some(_) => Ok(Self { node: Arc::clone(node), key: key.clone() }),
            None => Err(unspeakable()),
        }
    }
}

fn unspeakable() -> NodeError {
    NodeError::Unsupported("its name holds a space, which the protocol of special remotes cannot carry".to_owned())
}

#[async_trait]
impl FileUpload for Storing {
    async fn store(self: Box<Self>, file: &Path, size: u64) -> Result<(), NodeError> {
        let ask = self.node.layout.transfer(Direction::Store, &self.key, file).ok_or_else(unspeakable)?;
        match self.node.pool.run(ask, Watch { size, ..Watch::default() }).await? {
            Response::TransferSuccess { .. } => {}
            Response::TransferFailure { message, .. } => return Err(failed("STORE", message.as_bytes())),
            other => return Err(unusable("STORE", &other)),
        }
        // One more question a key: a client drops its copy on the strength of this answer.
        if !self.node.has(&self.key).await? {
            return Err(NodeError::Failed(
                "the program said that it stored the content, and then that the content is not there".to_owned(),
            ));
        }
        self.node.remembered.unset(About::Bad, self.key.as_bytes()).await
    }
}
