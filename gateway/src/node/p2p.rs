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

use super::error::NodeError;
use super::foreign::{error_of_peer, refuses_to_remove};
use super::patience::Patience;
use super::peer::Peer;
use super::port::{Capacity, Content, Hold, Incoming, Node, Onward, Pieces};
use super::probe_key::probe_key;
use super::turns::{Follower, Turn, Turns};

mod client;
mod connection;
mod download;
mod hold;
pub mod kind;
mod pool;
mod program;
mod upload;

use client::Client;
use connection::{Lost, unexpected};
use hold::P2pHold;
pub use pool::Bounds;
use pool::{Pool, Purpose};
pub use program::Program;
use upload::P2pUpload;

/// A repository behind a program that speaks the P2P protocol. Cloning is cheap.
///
/// Removal and locking are the server's own business: content that somebody else has locked there is not removed.
#[derive(Clone)]
pub struct P2pNode {
    client: Client,
    uploads: Arc<Turns>,
}

impl P2pNode {
    /// Makes the node; nothing is connected yet.
    pub fn new(program: Program, peer: Peer, patience: Patience, bounds: Bounds) -> Self {
        let client = Client { pool: Arc::new(Pool::new(program, patience, bounds)), peer: Arc::new(peer) };
        Self { client, uploads: Arc::default() }
    }
}

#[async_trait]
impl Node for P2pNode {
    async fn present(&self, key: &Key) -> Result<bool, NodeError> {
        self.client.present(key).await
    }

    async fn get(&self, key: &Key, offset: u64) -> Result<Option<Content>, NodeError> {
        let request = Message::Get { offset, file: AssociatedFile::default(), key: key.clone() };
        let (mut lease, answer) = self.client.ask(Purpose::Request, &request).await?;
        let length = match answer {
            Message::Data(length) => length,
            Message::Error(text) => {
                lease.give_back();
                return Err(error_of_peer(&text));
            }
            other => return Err(unexpected("GET", &other)),
        };
        let expected = key.content_size();
        if length > 0 {
            lease.connection.expect_data(length);
            let size = offset.checked_add(length).filter(|size| expected.is_none_or(|expected| expected == *size));
            let Some(size) = size else {
                return Err(NodeError::Damaged(format!("its copy has {length} bytes after byte {offset}")));
            };
            return Ok(Some(Content { size, stream: download::stream_of(lease), verified: false }));
        }
        let says = lease.connection.version().has_validity();
        let valid = download::validity(&mut lease).await?;
        download::conclude(lease, valid).await?;
        let present = if says { valid } else { self.present(key).await? };
        let size = expected.unwrap_or(offset);
        match present {
            true if size > offset => Err(NodeError::Damaged(format!("its copy has no byte {offset}"))),
            true => Ok(Some(Content { size, stream: stream::empty().boxed(), verified: false })),
            false => Ok(None),
        }
    }

    async fn put(&self, key: &Key, file: &AssociatedFile) -> Result<Incoming, NodeError> {
        let started = match self.uploads.take(key) {
            Turn::First(turn) => Pieces::fresh(P2pUpload::start(&self.client, key, file, turn).await?),
            Turn::After(first) => {
                let (node, key, patience) = (Arc::new(self.clone()), key.clone(), self.client.pool.patience().answer);
                Pieces::fresh(Follower { node, key, first, patience })
            }
        };
        Ok(Incoming::Pieces(started))
    }

    async fn remove(&self, key: &Key) -> Result<Vec<Uuid>, NodeError> {
        match self.client.ask_whether(&Message::Remove(key.clone()), "REMOVE").await {
            Ok(Some(others)) => Ok(others),
            Ok(None) => Err(NodeError::Locked("it did not remove the content, which may be locked there".to_owned())),
            // git-annex ends the connection in place of an answer.
            Err(Lost { last_words, .. }) if refuses_to_remove(&last_words) => {
                Err(NodeError::Locked("the content is locked there against removal".to_owned()))
            }
            Err(lost) => Err(lost.into()),
        }
    }

    /// The protocol knows no way to set content aside.
    async fn set_aside(&self, key: &Key) -> Result<(), NodeError> {
        self.remove(key).await.map(drop)
    }

    async fn lock(&self, key: &Key) -> Result<Option<Box<dyn Hold>>, NodeError> {
        let hold = P2pHold::take(&self.client, key).await?;
        Ok(hold.map(|hold| Box::new(hold) as Box<dyn Hold>))
    }

    async fn capacity(&self) -> Result<Capacity, NodeError> {
        self.present(&probe_key()?).await.map(|_present| Capacity::default())
    }

    fn onward(&self, gateways: &BTreeSet<Uuid>) -> Onward {
        match self.client.peer.past(gateways) {
            Some(peer) => {
                let client = Client { pool: Arc::clone(&self.client.pool), peer: Arc::new(peer) };
                Onward::By(Arc::new(Self { client, uploads: Arc::clone(&self.uploads) }))
            }
            None => Onward::LeadsBack,
        }
    }
}
