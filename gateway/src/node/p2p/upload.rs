//! PUT: content to the server.
//!
//! Source: `docs/spec/p2p-protocol.md` §5.2.

use annex_protocol::hash::Hasher;
use annex_protocol::key::Key;
use annex_protocol::p2p::{AssociatedFile, Message};
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use keep_store::base::stream::Piece;
use tokio::sync::watch;

use super::client::Client;
use super::connection::{Lost, unexpected};
use super::pool::{Lease, Purpose};
use crate::node::error::NodeError;
use crate::node::foreign::{NOT_STORED, error_of_peer};
use crate::node::port::{ByteStream, Upload};
use crate::node::window::Window;

/// An upload on one connection.
pub(super) struct P2pUpload {
    client: Client,
    key: Key,
    /// Uploads of the same content follow this one until it ends.
    _turn: watch::Sender<()>,
    /// `None` if the server has the content already.
    lease: Option<Lease>,
    window: Window,
    /// DATA was sent.
    begun: bool,
    /// Others that the server says have the content.
    others: Vec<Uuid>,
}

impl P2pUpload {
    pub(super) async fn start(
        client: &Client,
        key: &Key,
        file: &AssociatedFile,
        turn: watch::Sender<()>,
    ) -> Result<Self, NodeError> {
        let request = Message::Put { file: file.clone(), key: key.clone() };
        let (lease, answer) = client.ask(Purpose::Request, &request).await?;
        let (client, key) = (client.clone(), key.clone());
        let new = |lease, offset, others| Self {
            client,
            key,
            _turn: turn,
            lease,
            window: Window::new(offset),
            begun: false,
            others,
        };
        match answer {
            Message::PutFrom(offset) => Ok(new(Some(lease), offset, Vec::new())),
            Message::AlreadyHave | Message::AlreadyHavePlus(_) => {
                lease.give_back();
                let others = if let Message::AlreadyHavePlus(others) = answer { others } else { Vec::new() };
                Ok(new(None, 0, others))
            }
            Message::Error(text) => {
                lease.give_back();
                Err(error_of_peer(&text))
            }
            other => Err(unexpected("PUT", &other)),
        }
    }

    /// Announces the data, unless that was done.
    fn begin(&mut self) {
        if let Some(lease) = self.lease.as_mut().filter(|_| !self.begun) {
            lease.connection.queue(&Message::Data(self.window.length()));
            self.begun = true;
        }
    }

    /// Sends the end of the content, and what is said of it; returns the answer with the connection.
    async fn end(&mut self, size: u64, end: Bytes, valid: bool) -> Result<Option<(Lease, Message)>, Lost> {
        self.begin();
        let Some(mut lease) = self.lease.take() else { return Ok(None) };
        lease.connection.send(end).await?;
        if lease.connection.version().has_validity() {
            lease.connection.queue(if valid { &Message::Valid } else { &Message::Invalid });
        }
        lease.connection.flush().await?;
        let answer = lease.connection.verdict(size).await?;
        Ok(Some((lease, answer)))
    }

    /// Ends the upload where it is: the server keeps what it has.
    async fn leave(mut self) -> Result<(), NodeError> {
        let Some(mut lease) = self.lease.take() else { return Ok(()) };
        if self.begun || !lease.connection.version().has_validity() {
            lease.connection.close().await;
            return Ok(());
        }
        // DATA was not announced yet: announce none, and do not vouch for it.
        lease.connection.queue(&Message::Data(0));
        lease.connection.ask(&Message::Invalid).await?;
        lease.give_back();
        Ok(())
    }
}

#[async_trait]
impl Upload for P2pUpload {
    async fn kept(&self) -> Result<ByteStream, NodeError> {
        Ok(stream::empty().boxed())
    }

    async fn restart(&mut self) -> Result<(), NodeError> {
        Ok(())
    }

    async fn announce(&mut self, size: u64) -> Result<(), NodeError> {
        self.window.announce(size);
        Ok(())
    }

    async fn piece(&mut self, piece: Piece) -> Result<(), NodeError> {
        let Piece::Data(bytes) = piece else { return Ok(()) };
        let bytes = self.window.take(bytes)?;
        if bytes.is_empty() && self.window.held().is_none() {
            return Ok(());
        }
        self.begin();
        if let Some(lease) = &mut self.lease {
            lease.connection.send(bytes).await?;
        }
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<Vec<Uuid>, NodeError> {
        let held = self.window.last()?;
        let size = self.window.size();
        match self.end(size, held, true).await {
            Ok(None) => Ok(std::mem::take(&mut self.others)),
            Ok(Some((lease, answer))) => match answer {
                Message::Success => {
                    lease.give_back();
                    Ok(Vec::new())
                }
                Message::SuccessPlus(others) => {
                    lease.give_back();
                    Ok(others)
                }
                Message::Failure | Message::FailurePlus(_) => {
                    lease.give_back();
                    Err(NodeError::Failed(NOT_STORED.to_owned()))
                }
                other => Err(unexpected("PUT", &other)),
            },
            Err(Lost { error, hung: true, .. }) => Err(error),
            // The answer may have been lost, and not the content.
            Err(Lost { error, .. }) => match self.client.present(&self.key).await {
                Ok(true) => Ok(Vec::new()),
                _ => Err(error),
            },
        }
    }

    async fn suspend(self: Box<Self>) -> Result<(), NodeError> {
        self.leave().await
    }

    /// Leaves nothing behind if all content came, and the key has a hash by which the server finds it wrong; otherwise
    /// what the server has stays there for the next upload, which may find it wrong.
    async fn abort(mut self: Box<Self>) -> Result<(), NodeError> {
        let size = self.window.size();
        let (true, Some(last)) = (Hasher::for_key(&self.key).is_some(), self.window.held()) else {
            return self.leave().await;
        };
        // Never the content's own last byte: it may be right, and is not wanted.
        match self.end(size, Bytes::from(vec![!last]), false).await? {
            Some((lease, Message::Failure | Message::FailurePlus(_))) => lease.give_back(),
            Some((_, answer)) => return Err(unexpected("PUT", &answer)),
            None => {}
        }
        Ok(())
    }
}
