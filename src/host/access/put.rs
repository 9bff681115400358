//! Content from a client.

use std::time::Duration;

use annex_gateway::gateway::{self, ErrorKind, Gateway, GatewayError, Receiving, Stored, Target};
use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use bytes::Bytes;
use tokio::time::timeout;

use super::{Access, AccessError, Commits};
use crate::host::traffic::{Operation, Outcome, Request};

/// What becomes of content that a client wants to store.
#[allow(clippy::large_enum_variant, reason = "it is taken apart at once, and a box is an allocation an upload")]
pub enum PutAnswer {
    /// It is where it should be already; these nodes have it.
    AlreadyHave(Vec<Uuid>),
    /// It is wanted.
    Wanted(Upload),
}

/// Where an upload would go on.
pub enum Offset {
    /// Nowhere: these nodes have the content.
    AlreadyHave(Vec<Uuid>),
    /// At this byte.
    At(u64),
}

/// Content on its way from a client. Its request ends with [`Upload::finish`] or [`Upload::refuse`], or, without that, as
/// broken off; what came stays for the next upload wherever nodes can keep it.
pub struct Upload {
    gateway: Gateway,
    target: Target,
    commits: Commits,
    request: Request,
    receiving: Receiving,
    /// More came than was announced.
    too_much: bool,
}

/// Where the bytes of an upload come from.
pub trait Source: Send {
    /// Why no more came.
    type Error: std::fmt::Display + Send;

    /// Returns the next bytes, of which there may be none yet; `None` after the last.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, Self::Error>> + Send;

    /// Returns the error of a source that gave nothing for so long.
    fn stalled(after: Duration) -> Self::Error;
}

impl Access {
    /// Begins to store a key; `file` is a file that has it as its content.
    pub async fn put(&self, key: &Key, file: &AssociatedFile) -> Result<PutAnswer, AccessError> {
        let mut request = self.scope.request(Operation::Put, key);
        let begun = async {
            request.turn().await?;
            Ok(self.gateway.put(self.target, key, file).await?)
        };
        match begun.await {
            Ok(gateway::Put::AlreadyHave(holders)) => {
                self.commits.note();
                request.end(&Outcome::Done(&holders, &[]));
                Ok(PutAnswer::AlreadyHave(holders))
            }
            Ok(gateway::Put::Receive(receiving)) => {
                let (gateway, target, commits) = (self.gateway.clone(), self.target, self.commits.clone());
                Ok(PutAnswer::Wanted(Upload { gateway, target, commits, request, receiving, too_much: false }))
            }
            Err(error) => {
                request.fail(&error);
                Err(error)
            }
        }
    }

    /// Tells where an upload would go on, and leaves what is there of it as it is.
    pub async fn offset(&self, key: &Key, file: &AssociatedFile) -> Result<Offset, GatewayError> {
        let request = self.scope.request(Operation::Put, key);
        match self.gateway.put(self.target, key, file).await {
            Ok(gateway::Put::AlreadyHave(holders)) => {
                self.commits.note();
                request.end(&Outcome::Done(&holders, &[]));
                Ok(Offset::AlreadyHave(holders))
            }
            Ok(gateway::Put::Receive(receiving)) => {
                let offset = receiving.offset();
                receiving.suspend().await;
                request.end(&Outcome::No);
                Ok(Offset::At(offset))
            }
            Err(error) => {
                request.fail(&error);
                Err(error)
            }
        }
    }

    /// Returns the nodes that have a key of which a client says that it has come another way.
    pub async fn came_another_way(&self, key: &Key) -> Result<Vec<Uuid>, GatewayError> {
        let request = self.scope.request(Operation::Put, key);
        came_another_way(&self.gateway, self.target, &self.commits, request).await
    }
}

async fn came_another_way(
    gateway: &Gateway,
    target: Target,
    commits: &Commits,
    request: Request,
) -> Result<Vec<Uuid>, GatewayError> {
    let holders = gateway.holders(target, request.key()).await;
    commits.note();
    request.settle(holders)
}

impl Upload {
    /// Returns where in the content the client should start to send.
    pub fn offset(&self) -> u64 {
        self.receiving.offset()
    }

    /// Takes `length` bytes from a source, from the offset on; then the upload is to be finished.
    ///
    /// `None` if the source ended before: the upload has ended, too. So it has if the source failed or stood still.
    pub async fn receive<S: Source>(mut self, length: u64, source: &mut S) -> Result<Option<Self>, S::Error> {
        self.receiving.announce(length).await;
        let stalled = self.request.stalled();
        let mut left = length;
        loop {
            let next = timeout(stalled, source.next()).await;
            match next.unwrap_or_else(|_elapsed| Err(S::stalled(stalled))) {
                Ok(Some(bytes)) if bytes.len() as u64 > left => {
                    self.too_much = true;
                    return Ok(Some(self));
                }
                Ok(Some(bytes)) if bytes.is_empty() => {}
                Ok(Some(bytes)) => {
                    left -= bytes.len() as u64;
                    self.request.pass(bytes.len()).await;
                    self.receiving.push(bytes).await;
                }
                Ok(None) if left == 0 => return Ok(Some(self)),
                Ok(None) => {
                    self.give_up(ErrorKind::BrokenOff, "less came than was announced".to_owned()).await;
                    return Ok(None);
                }
                Err(error) => {
                    self.give_up(ErrorKind::BrokenOff, error.to_string()).await;
                    return Err(error);
                }
            }
        }
    }

    /// Stores what came; `valid` is what the client says of it. `None` if it is not stored since the client does not vouch
    /// for it, or more or less came than was to come.
    pub async fn finish(self, valid: bool) -> Result<Option<Stored>, GatewayError> {
        let stored = self.receiving.finish(valid && !self.too_much).await;
        self.commits.note();
        self.request.settle(stored)
    }

    /// Ends an upload that the client does not go on with.
    pub async fn suspend(self) {
        self.receiving.suspend().await;
    }

    /// Ends an upload whose client breaks the protocol; the text says how.
    pub async fn refuse(self, text: &str) {
        self.give_up(ErrorKind::Invalid, text.to_owned()).await;
    }

    /// Ends an upload of which the client says that the content has come another way; returns the nodes that have it.
    pub async fn came_another_way(self) -> Result<Vec<Uuid>, GatewayError> {
        self.receiving.suspend().await;
        came_another_way(&self.gateway, self.target, &self.commits, self.request).await
    }

    async fn give_up(self, kind: ErrorKind, reason: String) {
        self.receiving.suspend().await;
        self.request.end(&Outcome::Failed { kind, reason });
    }
}
