//! PUT: content from the client.

use std::time::Duration;

use annex_gateway::wire::{Wire, WireError};
use annex_protocol::key::Key;
use annex_protocol::p2p::{AssociatedFile, Expect, Message, Verdict};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Next, Session, SessionError, answer};
use crate::host::access::{PutAnswer, Source, Upload};

impl<R: AsyncRead + Unpin + Send, W: AsyncWrite + Unpin + Send> Session<R, W> {
    pub(super) async fn put(&mut self, key: &Key, file: &AssociatedFile) -> Result<Next, SessionError> {
        let upload = match self.access.put(key, file).await {
            Ok(PutAnswer::AlreadyHave(holders)) => {
                let reply = answer::already_have(self.access.others(holders));
                self.wire.send(&reply.for_version(self.version)).await?;
                return Ok(Next::Request);
            }
            Ok(PutAnswer::Wanted(upload)) => upload,
            Err(error) => {
                self.tell(&error);
                self.wire.send(&answer::failed(&error)).await?;
                return Ok(Next::Request);
            }
        };
        self.wire.send(&Message::PutFrom(upload.offset())).await?;
        let Some(message) = self.next_request().await? else {
            upload.suspend().await;
            return Ok(Next::End);
        };
        let reply = match (Expect::PutData.judge(message.as_ref(), self.version), message) {
            (Verdict::Fits, Ok(Message::Data(length))) => self.receive(upload, length, key, file).await?,
            (Verdict::Fits, _) => Some(match upload.came_another_way().await {
                Ok(holders) if holders.is_empty() => Message::Failure,
                Ok(holders) => answer::stored(self.access.others(holders)),
                Err(error) => answer::failed(&error),
            }),
            (Verdict::Refuse(text), _) => {
                upload.refuse(text).await;
                Some(Message::error(text))
            }
            (Verdict::Ignore | Verdict::End, _) => {
                upload.suspend().await;
                None
            }
        };
        if let Some(reply) = reply {
            self.wire.send(&reply.for_version(self.version)).await?;
        }
        Ok(Next::Request)
    }

    /// Takes announced data and what follows it; returns the answer, unless the client is gone.
    async fn receive(
        &mut self,
        upload: Upload,
        length: u64,
        key: &Key,
        file: &AssociatedFile,
    ) -> Result<Option<Message>, SessionError> {
        self.wire.expect_data(length);
        let Some(upload) = upload.receive(length, &mut self.wire).await? else { return Ok(None) };
        let mut valid = true;
        if self.version.has_validity() {
            let message = match self.wire.receive().await {
                Ok(Some(message)) => message,
                ended => {
                    upload.suspend().await;
                    return ended.map(|_| None).map_err(Into::into);
                }
            };
            valid = matches!(message, Ok(Message::Valid));
            if let Verdict::Refuse(text) = Expect::Validity.judge(message.as_ref(), self.version) {
                self.wire.queue(&Message::error(text));
            }
        }
        Ok(Some(match upload.finish(valid).await {
            Ok(Some(stored)) => answer::stored(self.access.others(stored.nodes)),
            Ok(None) => Message::Failure,
            Err(error) => {
                self.tell(format_args!("{}: not stored: {error}", named(file, key)));
                Message::Failure
            }
        }))
    }
}

/// Announced data comes until its end, or the connection's.
impl<R: AsyncRead + Unpin + Send, W: AsyncWrite + Unpin + Send> Source for Wire<R, W> {
    type Error = WireError;

    async fn next(&mut self) -> Result<Option<Bytes>, WireError> {
        self.data().await
    }

    fn stalled(_after: Duration) -> WireError {
        WireError::Stalled
    }
}

/// Names a file for messages.
fn named(file: &AssociatedFile, key: &Key) -> String {
    file.decode().map_or_else(|| key.to_string(), |name| String::from_utf8_lossy(&name).into_owned())
}
