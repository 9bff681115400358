//! Content to a program: a complete file, which the gateway writes for all nodes that need one, or the node for itself.

use std::path::Path;
use std::sync::Arc;

use annex_protocol::external::{Direction, Response};
use annex_protocol::key::Key;
use async_trait::async_trait;
use keep_store::base::stream::Piece;

use super::ask::Watch;
use super::state::Kind;
use super::{FileUpload, Inner, Spooling, failed, unusable};
use crate::node::{ByteStream, NodeError, Upload};

/// STORE of a complete file.
pub(super) struct Storing {
    node: Arc<Inner>,
    key: Key,
}

impl Storing {
    pub(super) fn new(node: &Arc<Inner>, key: &Key) -> Result<Self, NodeError> {
        // The name of the file does not matter for that.
        match node.layout.check_present(key) {
            Some(_) => Ok(Self { node: Arc::clone(node), key: key.clone() }),
            None => Err(unspeakable()),
        }
    }
}

fn unspeakable() -> NodeError {
    NodeError::Failed("its name holds a space, which the protocol of special remotes cannot carry".to_owned())
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
        self.node.state.unset(Kind::Bad, self.key.as_bytes()).await
    }
}

/// An upload with a temporary file of its own.
pub(super) struct Alone {
    storing: Box<Storing>,
    spooling: Box<Spooling>,
}

impl Alone {
    pub(super) async fn start(node: &Arc<Inner>, key: &Key) -> Result<Self, NodeError> {
        let storing = Box::new(Storing::new(node, key)?);
        let spooling = Spooling::start(&node.spool, &node.uuid, key).await?;
        Ok(Self { storing, spooling: Box::new(spooling) })
    }
}

#[async_trait]
impl Upload for Alone {
    fn offset(&self) -> u64 {
        self.spooling.offset()
    }

    async fn kept(&self) -> Result<ByteStream, NodeError> {
        self.spooling.kept().await
    }

    async fn restart(&mut self) -> Result<(), NodeError> {
        self.spooling.restart().await
    }

    async fn announce(&mut self, size: u64) -> Result<(), NodeError> {
        self.spooling.announce(size).await
    }

    async fn piece(&mut self, piece: Piece) -> Result<(), NodeError> {
        self.spooling.piece(piece).await
    }

    async fn commit(self: Box<Self>) -> Result<(), NodeError> {
        let file = self.spooling.file();
        self.spooling.commit().await?;
        self.storing.store(file.path(), file.size()).await
    }

    async fn suspend(self: Box<Self>) -> Result<(), NodeError> {
        self.spooling.suspend().await
    }

    async fn abort(self: Box<Self>) -> Result<(), NodeError> {
        self.spooling.abort().await
    }
}
