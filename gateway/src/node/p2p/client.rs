//! A repository behind a program, and this gateway as its client: what is asked in one request.

use std::sync::Arc;

use annex_protocol::key::Key;
use annex_protocol::p2p::Message;
use annex_protocol::uuid::Uuid;

use super::connection::{Lost, unexpected};
use super::pool::{Lease, Pool, Purpose};
use crate::node::error::NodeError;
use crate::node::foreign::error_of_peer;
use crate::node::peer::Peer;

/// A repository behind a program that speaks the P2P protocol. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) pool: Arc<Pool>,
    pub(super) peer: Arc<Peer>,
}

impl Client {
    /// Sends a request that does no harm when it is done twice.
    pub(super) async fn ask(&self, purpose: Purpose, request: &Message) -> Result<(Lease, Message), NodeError> {
        Ok(self.pool.ask(purpose, &self.peer, request).await?)
    }

    /// Asks what is answered with yes or no; a yes may name others.
    pub(super) async fn ask_whether(&self, request: &Message, name: &str) -> Result<Option<Vec<Uuid>>, Lost> {
        let (lease, answer) = self.pool.ask(Purpose::Request, &self.peer, request).await?;
        let outcome = match answer {
            Message::Success => Ok(Some(Vec::new())),
            Message::SuccessPlus(others) => Ok(Some(others)),
            Message::Failure | Message::FailurePlus(_) => Ok(None),
            Message::Error(text) => Err(error_of_peer(&text).into()),
            // Whatever it is, the two sides do not understand each other: the connection is dropped.
            other => return Err(unexpected(name, &other).into()),
        };
        lease.give_back();
        outcome
    }

    /// Tells whether the repository has a key.
    pub(super) async fn present(&self, key: &Key) -> Result<bool, NodeError> {
        Ok(self.ask_whether(&Message::CheckPresent(key.clone()), "CHECKPRESENT").await?.is_some())
    }
}
