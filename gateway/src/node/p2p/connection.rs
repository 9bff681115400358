//! One conversation with a P2P server, from the client's side.
//!
//! Source: spec `p2p-protocol.md` §3 and §4.

use std::time::Duration;

use annex_protocol::p2p::{Message, ParseError, Version};
use bytes::Bytes;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::time::timeout;

use super::program::{Process, Program};
use crate::node::error::NodeError;
use crate::node::foreign::error_of_peer;
use crate::node::patience::Patience;
use crate::node::peer::Peer;
use crate::wire::{Wire, WireError};

/// A connection on which the server waits for a request.
pub(super) struct Connection {
    wire: Wire<ChildStdout, ChildStdin>,
    // After the wire: its streams close first.
    process: Process,
    version: Version,
    patience: Patience,
}

/// A connection that is of no use any more.
#[derive(Debug)]
pub(super) struct Lost {
    /// Why.
    pub(super) error: NodeError,
    /// The server did not answer in time; another connection would fare no better.
    pub(super) hung: bool,
    /// What the server's program said last, on its standard error.
    pub(super) last_words: String,
}

/// An error that came over a connection which is still good, or before there was one.
impl From<NodeError> for Lost {
    fn from(error: NodeError) -> Self {
        Self { error, hung: false, last_words: String::new() }
    }
}

impl From<Lost> for NodeError {
    fn from(lost: Lost) -> Self {
        lost.error
    }
}

/// What is written to a program at once: the deadline is for so much.
const WRITE_BYTES: usize = 256 << 10;

impl Connection {
    /// Starts the program and agrees on a version; the peer must be who answers.
    pub(super) async fn open(
        program: &Program,
        Peer { uuid, bypass, .. }: &Peer,
        patience: Patience,
    ) -> Result<Self, Lost> {
        let (wire, process) = program.start().map_err(|error| NodeError::Unreachable(error.to_string()))?;
        let mut connection = Self { wire, process, version: Version::default(), patience };
        match connection.receive(patience.connect).await? {
            Message::AuthSuccess(found) if found == *uuid => {}
            Message::AuthSuccess(found) => {
                let text = format!("the repository there has the UUID {found}, not {uuid}");
                return Err(NodeError::Failed(text).into());
            }
            other => return Err(unexpected("the connection", &other).into()),
        }
        connection.version = match connection.ask(&Message::Version(Version::MAX.number())).await? {
            Message::Version(offered) => Version::negotiate(offered),
            // A server that knows no versions.
            Message::Error(_) => Version::V0,
            other => return Err(unexpected("VERSION", &other).into()),
        };
        if connection.version.has_bypass() && !bypass.is_empty() {
            connection.wire.queue(&Message::Bypass(bypass.iter().cloned().collect()));
        }
        Ok(connection)
    }

    /// Returns the version that both sides speak.
    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Sends a request and returns its answer.
    pub(super) async fn ask(&mut self, request: &Message) -> Result<Message, Lost> {
        self.wire.queue(request);
        self.flush().await?;
        self.answer().await
    }

    /// Waits for an answer.
    pub(super) async fn answer(&mut self) -> Result<Message, Lost> {
        self.receive(self.patience.answer).await
    }

    /// Waits for the answer to an upload of `size` bytes.
    pub(super) async fn verdict(&mut self, size: u64) -> Result<Message, Lost> {
        self.receive(self.patience.check(size)).await
    }

    /// Adds a message to what is sent next.
    pub(super) fn queue(&mut self, message: &Message) {
        self.wire.queue(message);
    }

    /// Sends what was queued.
    pub(super) async fn flush(&mut self) -> Result<(), Lost> {
        match timeout(self.patience.progress, self.wire.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.lost(error.into()).await),
            Err(_elapsed) => Err(self.hung("took no request", self.patience.progress).await),
        }
    }

    /// Sends data that was announced.
    pub(super) async fn send(&mut self, mut bytes: Bytes) -> Result<(), Lost> {
        while !bytes.is_empty() {
            let part = bytes.split_to(bytes.len().min(WRITE_BYTES));
            match self.wire.send_data(&part, self.patience.progress).await {
                Ok(()) => {}
                Err(WireError::Stalled) => return Err(self.hung("took no content", self.patience.progress).await),
                Err(error) => return Err(self.lost(error.into()).await),
            }
        }
        Ok(())
    }

    /// Waits for a message.
    async fn receive(&mut self, patience: Duration) -> Result<Message, Lost> {
        match timeout(patience, self.wire.receive()).await {
            Ok(Ok(Some(Ok(message)))) => Ok(message),
            Ok(Ok(Some(Err(error)))) => Err(self.lost(Broken::Message(error)).await),
            Ok(Ok(None)) => Err(self.lost(Broken::Ended).await),
            Ok(Err(error)) => Err(self.lost(error.into()).await),
            Err(_elapsed) => Err(self.hung("did not answer", patience).await),
        }
    }

    /// Announces that `length` bytes of data come next.
    pub(super) fn expect_data(&mut self, length: u64) {
        self.wire.expect_data(length);
    }

    /// Returns the next piece of announced data, or `None` after the last.
    pub(super) async fn data(&mut self) -> Result<Option<Bytes>, Lost> {
        match timeout(self.patience.progress, self.wire.data()).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => Err(self.lost(error.into()).await),
            Err(_elapsed) => Err(self.hung("sent no content", self.patience.progress).await),
        }
    }

    /// Closes the connection and waits until the program has ended: what it received is kept then.
    pub(super) async fn close(self) {
        let Self { wire, process, patience, .. } = self;
        drop(wire);
        process.end(patience.answer).await;
    }

    async fn lost(&mut self, broken: Broken) -> Lost {
        let said = self.process.last_words().await;
        let error = match (broken, said.as_str()) {
            (Broken::Message(_), _) => NodeError::Unreachable("it does not speak the P2P protocol".to_owned()),
            (broken, "") => NodeError::Unreachable(broken.to_string()),
            (broken, said) => match error_of_peer(said.as_bytes()) {
                NodeError::Full(text) => NodeError::Full(text),
                _ => NodeError::Unreachable(format!("{broken}: {said}")),
            },
        };
        Lost { error, hung: false, last_words: said }
    }

    async fn hung(&mut self, what: &str, patience: Duration) -> Lost {
        self.process.kill();
        let last_words = self.process.last_words().await;
        let said = if last_words.is_empty() { String::new() } else { format!(": {last_words}") };
        let text = format!("it {what} for {} s{said}", patience.as_secs_f32());
        Lost { error: NodeError::Unreachable(text), hung: true, last_words }
    }
}

/// How a connection broke.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the connection ended")]
    Ended,
    #[error(transparent)]
    Message(ParseError),
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// Returns the error for an answer that does not fit the request.
pub(super) fn unexpected(request: &str, answer: &Message) -> NodeError {
    match answer {
        Message::Error(text) => error_of_peer(text),
        other => NodeError::Failed(format!("it answered {request} with {other:?}")),
    }
}
