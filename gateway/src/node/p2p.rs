//! A node that is reached by the P2P protocol: a git-annex repository, or another gateway, through ssh or any program.
//!
//! Source: `docs/spec/p2p-protocol.md`.

use std::collections::BTreeSet;
use std::sync::Arc;

use annex_protocol::key::Key;
use annex_protocol::p2p::{AssociatedFile, Message};
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use futures_util::{StreamExt, stream};

use super::{Content, Follower, Hold, Node, NodeError, Patience, Peer, Space, Turn, Turns, Upload, Way, probe_key};

mod connection;
mod download;
mod hold;
mod pool;
mod program;
mod upload;

use connection::unexpected;
use hold::P2pHold;
pub use pool::Bounds;
use pool::{Lease, Pool, Use};
pub use program::Program;
use upload::P2pUpload;

/// A repository behind a program that speaks the P2P protocol. Cloning is cheap.
///
/// Removal and locking are the server's own business: content that somebody else has locked there is not removed.
#[derive(Clone)]
pub struct P2pNode {
    pool: Arc<Pool>,
    peer: Arc<Peer>,
    uploads: Arc<Turns>,
}

impl P2pNode {
    /// Makes the node; nothing is connected yet.
    pub fn new(program: Program, peer: Peer, patience: Patience, bounds: Bounds) -> Self {
        Self { pool: Arc::new(Pool::new(program, patience, bounds)), peer: Arc::new(peer), uploads: Arc::default() }
    }

    async fn ask(&self, use_for: Use, request: &Message) -> Result<(Lease, Message), NodeError> {
        self.pool.ask(use_for, &self.peer, request).await
    }

    /// Asks what is answered with yes or no; a yes may name others.
    async fn ask_whether(&self, request: &Message, name: &str) -> Result<Option<Vec<Uuid>>, NodeError> {
        let (lease, answer) = self.ask(Use::Request, request).await?;
        let outcome = match answer {
            Message::Success => Ok(Some(Vec::new())),
            Message::SuccessPlus(others) => Ok(Some(others)),
            Message::Failure | Message::FailurePlus(_) => Ok(None),
            Message::Error(text) => Err(NodeError::said(&text)),
            // Whatever it is, the two sides do not understand each other: the connection is dropped.
            other => return Err(unexpected(name, &other)),
        };
        lease.give_back();
        outcome
    }
}

#[async_trait]
impl Node for P2pNode {
    async fn present(&self, key: &Key) -> Result<bool, NodeError> {
        self.ask_whether(&Message::CheckPresent(key.clone()), "CHECKPRESENT").await.map(|yes| yes.is_some())
    }

    async fn get(&self, key: &Key, offset: u64) -> Result<Option<Content>, NodeError> {
        let request = Message::Get { offset, file: AssociatedFile::default(), key: key.clone() };
        let (mut lease, answer) = self.ask(Use::Request, &request).await?;
        let length = match answer {
            Message::Data(length) => length,
            Message::Error(text) => {
                lease.give_back();
                return Err(NodeError::said(&text));
            }
            other => return Err(unexpected("GET", &other)),
        };
        let expected = key.content_size();
        if length > 0 {
            lease.connection.expect_data(length);
            let size = offset.checked_add(length).filter(|size| expected.is_none_or(|expected| expected == *size));
            let Some(size) = size else {
                return Err(NodeError::Failed(format!("its copy has {length} bytes after byte {offset}")));
            };
            return Ok(Some(Content { size, stream: download::stream_of(lease), verified: false }));
        }
        let says = lease.connection.version().has_validity();
        let valid = download::validity(&mut lease).await?;
        download::conclude(lease, valid).await?;
        let present = if says { valid } else { self.present(key).await? };
        let size = expected.unwrap_or(offset);
        match present {
            true if size > offset => Err(NodeError::Failed(format!("its copy has no byte {offset}"))),
            true => Ok(Some(Content { size, stream: stream::empty().boxed(), verified: false })),
            false => Ok(None),
        }
    }

    async fn space(&self) -> Result<Option<Space>, NodeError> {
        self.present(&probe_key()?).await.map(|_present| None)
    }

    async fn put(&self, key: &Key) -> Result<Box<dyn Upload>, NodeError> {
        self.put_as(key, &AssociatedFile::default()).await
    }

    async fn put_as(&self, key: &Key, file: &AssociatedFile) -> Result<Box<dyn Upload>, NodeError> {
        match self.uploads.take(key) {
            Turn::First(turn) => Ok(Box::new(P2pUpload::start(self, key, file, turn).await?)),
            Turn::After(first) => {
                let (node, key, patience) = (Arc::new(self.clone()), key.clone(), self.pool.patience().answer);
                Ok(Box::new(Follower { node, key, first, patience }))
            }
        }
    }

    async fn remove(&self, key: &Key) -> Result<(), NodeError> {
        self.remove_and_tell(key).await.map(|_others| ())
    }

    async fn remove_and_tell(&self, key: &Key) -> Result<Vec<Uuid>, NodeError> {
        match self.ask_whether(&Message::Remove(key.clone()), "REMOVE").await {
            Ok(Some(others)) => Ok(others),
            Ok(None) => Err(NodeError::Failed("it did not remove the content, which may be locked there".to_owned())),
            // git-annex ends the connection in place of an answer.
            Err(NodeError::Unreachable(text)) if text.contains("locked") => {
                Err(NodeError::Failed("the content is locked there against removal".to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    async fn lock(&self, key: &Key) -> Result<Option<Box<dyn Hold>>, NodeError> {
        let hold = P2pHold::take(self, key).await?;
        Ok(hold.map(|hold| Box::new(hold) as Box<dyn Hold>))
    }

    fn way(&self, gateways: &BTreeSet<Uuid>) -> Way {
        let past = self.peer.past(gateways).map(|peer| Self { peer: Arc::new(peer), ..self.clone() });
        past.map_or(Way::Back, |node| Way::Through(Arc::new(node)))
    }
}
