//! PUT: content from the client.

use annex_gateway::gateway::{Put, Receiving};
use annex_gateway::wire::WireError;
use annex_protocol::key::Key;
use annex_protocol::p2p::{AssociatedFile, Expect, Message, Verdict};
use annex_protocol::uuid::Uuid;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Next, Session, SessionError, ended, failure, named};
use crate::host::traffic::{Operation, Outcome, Request};

impl<R: AsyncRead + Unpin + Send, W: AsyncWrite + Unpin + Send> Session<R, W> {
    pub(super) async fn put(&mut self, key: &Key, file: &AssociatedFile) -> Result<Next, SessionError> {
        let mut request = self.service.scope.request(Operation::Put, key);
        if let Err(busy) = request.turn().await {
            self.tell(&busy);
            self.wire.send(&ended(request, Message::error(busy.to_string()))).await?;
            return Ok(Next::Request);
        }
        let receiving = match self.service.gateway.put(self.service.target, key, file).await {
            Ok(Put::AlreadyHave(holders)) => {
                self.dirty = true;
                request.end(&Outcome::Done(&holders));
                let others = self.others(holders);
                let reply = if others.is_empty() { Message::AlreadyHave } else { Message::AlreadyHavePlus(others) };
                self.wire.send(&reply.for_version(self.version)).await?;
                return Ok(Next::Request);
            }
            Ok(Put::Receive(receiving)) => receiving,
            Err(error) => {
                self.tell(&error);
                self.wire.send(&ended(request, failure(&error))).await?;
                return Ok(Next::Request);
            }
        };
        self.wire.send(&Message::PutFrom(receiving.offset())).await?;
        let Some(message) = self.next_request().await? else {
            receiving.suspend().await;
            return Ok(Next::End);
        };
        let reply = match (Expect::PutData.judge(message.as_ref(), self.version), message) {
            (Verdict::Fits, Ok(Message::Data(length))) => self.receive(request, receiving, length, key, file).await?,
            (Verdict::Fits, _) => {
                receiving.suspend().await;
                Some(self.data_present(request, key).await)
            }
            (Verdict::Refuse(text), _) => {
                receiving.suspend().await;
                Some(ended(request, Message::error(text)))
            }
            (Verdict::Ignore | Verdict::End, _) => {
                receiving.suspend().await;
                None
            }
        };
        if let Some(reply) = reply {
            self.wire.send(&reply.for_version(self.version)).await?;
        }
        Ok(Next::Request)
    }

    /// Takes announced data and what follows it; returns the answer.
    async fn receive(
        &mut self,
        mut request: Request,
        mut receiving: Receiving,
        length: u64,
        key: &Key,
        file: &AssociatedFile,
    ) -> Result<Option<Message>, SessionError> {
        self.wire.expect_data(length);
        receiving.announce(length).await;
        loop {
            let data = tokio::time::timeout(request.stalled(), self.wire.data()).await;
            match data.unwrap_or(Err(WireError::Stalled)) {
                Ok(Some(bytes)) => {
                    request.pass(bytes.len()).await;
                    receiving.push(bytes).await;
                }
                Ok(None) => break,
                Err(error) => {
                    receiving.suspend().await;
                    return Err(error.into());
                }
            }
        }
        let mut valid = true;
        if self.version.has_validity() {
            let message = match self.wire.receive().await {
                Ok(Some(message)) => message,
                ended => {
                    receiving.suspend().await;
                    return ended.map(|_| None).map_err(Into::into);
                }
            };
            valid = matches!(message, Ok(Message::Valid));
            if let Verdict::Refuse(text) = Expect::Validity.judge(message.as_ref(), self.version) {
                self.wire.queue(&Message::error(text));
            }
        }
        match receiving.finish(valid).await {
            Ok(Some(stored)) => {
                self.dirty = true;
                request.end(&Outcome::stored(&stored));
                let others = self.others(stored.nodes);
                Ok(Some(if others.is_empty() { Message::Success } else { Message::SuccessPlus(others) }))
            }
            Ok(None) => Ok(Some(ended(request, Message::Failure))),
            Err(error) => {
                self.tell(format_args!("{}: not stored: {error}", named(file, key)));
                request.end(&Outcome::Failed(&error.to_string()));
                Ok(Some(Message::Failure))
            }
        }
    }

    /// Answers a client that says the content has come another way.
    async fn data_present(&mut self, request: Request, key: &Key) -> Message {
        let holders = self.service.gateway.holders(self.service.target, key).await;
        self.dirty = true;
        match holders {
            Ok(holders) if holders.is_empty() => ended(request, Message::Failure),
            Ok(holders) => {
                request.end(&Outcome::Done(&holders));
                match self.others(holders) {
                    others if others.is_empty() => Message::Success,
                    others => Message::SuccessPlus(others),
                }
            }
            Err(error) => ended(request, failure(&error)),
        }
    }

    /// Leaves out the UUID that the client asked for: it knows that one from the answer itself.
    fn others(&self, uuids: Vec<Uuid>) -> Vec<Uuid> {
        uuids.into_iter().filter(|uuid| *uuid != self.service.uuid).collect()
    }
}
