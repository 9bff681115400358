//! PUT: content from the client.

use annex_protocol::key::Key;
use annex_protocol::p2p::{AssociatedFile, Expect, Message, Verdict};
use annex_protocol::uuid::Uuid;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Next, Session, SessionError, failure, named};
use crate::gateway::{Put, Receiving};

impl<R: AsyncRead + Unpin + Send, W: AsyncWrite + Unpin + Send> Session<R, W> {
    pub(super) async fn put(&mut self, key: &Key, file: &AssociatedFile) -> Result<Next, SessionError> {
        let receiving = match self.service.gateway.put(self.service.target, key, file).await {
            Ok(Put::AlreadyHave(holders)) => {
                self.dirty = true;
                let others = self.others(holders);
                let reply = if others.is_empty() { Message::AlreadyHave } else { Message::AlreadyHavePlus(others) };
                self.wire.send(&reply.for_version(self.version)).await?;
                return Ok(Next::Request);
            }
            Ok(Put::Receive(receiving)) => receiving,
            Err(error) => {
                self.wire.send(&failure(&error)).await?;
                return Ok(Next::Request);
            }
        };
        self.wire.send(&Message::PutFrom(receiving.offset())).await?;
        let Some(message) = self.next_request().await? else {
            receiving.suspend().await;
            return Ok(Next::End);
        };
        let reply = match (Expect::PutData.judge(message.as_ref(), self.version), message) {
            (Verdict::Fits, Ok(Message::Data(length))) => self.receive(receiving, length, key, file).await?,
            (Verdict::Fits, _) => {
                receiving.suspend().await;
                self.data_present(key).await
            }
            (Verdict::Refuse(text), _) => {
                receiving.suspend().await;
                Some(Message::error(text))
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
        mut receiving: Receiving,
        length: u64,
        key: &Key,
        file: &AssociatedFile,
    ) -> Result<Option<Message>, SessionError> {
        self.wire.expect_data(length);
        loop {
            match self.wire.data().await {
                Ok(Some(bytes)) => receiving.push(bytes).await,
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
        if !valid && length > 0 {
            receiving.abort().await;
            return Ok(Some(Message::Failure));
        }
        // Short of the key's size nothing can be verified: a probe for the offset, or a client that has lost its end.
        if !valid || receiving.is_short() {
            receiving.suspend().await;
            return Ok(Some(Message::Failure));
        }
        match receiving.commit().await {
            Ok(stored) => {
                self.dirty = true;
                let others = self.others(stored);
                Ok(Some(if others.is_empty() { Message::Success } else { Message::SuccessPlus(others) }))
            }
            Err(error) => {
                tracing::warn!("{}: not stored: {error}", named(file, key));
                Ok(Some(Message::Failure))
            }
        }
    }

    /// Answers a client that says the content has come another way.
    async fn data_present(&mut self, key: &Key) -> Option<Message> {
        let holders = self.service.gateway.holders(self.service.target, key).await;
        self.dirty = true;
        Some(match holders {
            Ok(holders) if holders.is_empty() => Message::Failure,
            Ok(holders) => match self.others(holders) {
                others if others.is_empty() => Message::Success,
                others => Message::SuccessPlus(others),
            },
            Err(error) => failure(&error),
        })
    }

    /// Leaves out the UUID that the client asked for: it knows that one from the answer itself.
    fn others(&self, uuids: Vec<Uuid>) -> Vec<Uuid> {
        uuids.into_iter().filter(|uuid| *uuid != self.service.uuid).collect()
    }
}
