//! GET: content to the client.

use annex_protocol::key::Key;
use annex_protocol::p2p::{Expect, Message, Verdict};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Next, Session, SessionError, ended, failure};
use crate::host::traffic::{Operation, Outcome};

impl<R: AsyncRead + Unpin + Send, W: AsyncWrite + Unpin + Send> Session<R, W> {
    pub(super) async fn get(&mut self, key: &Key, offset: u64) -> Result<Next, SessionError> {
        // A copy may turn out to be lost on the way, which is to be seen by the next fetch.
        self.dirty = true;
        let mut request = self.service.scope.request(Operation::Get, key);
        if let Err(busy) = request.turn().await {
            self.tell(&busy);
            self.wire.send(&ended(request, Message::error(busy.to_string()))).await?;
            return Ok(Next::Request);
        }
        let content = match self.service.gateway.get(self.service.target, key, offset).await {
            Ok(content) => content,
            Err(error) => {
                self.tell(&error);
                // In place of DATA, it ends the request.
                self.wire.send(&ended(request, failure(&error))).await?;
                return Ok(Next::Request);
            }
        };
        let validity = match content {
            Some(mut body) => {
                self.wire.queue(&Message::Data(body.length()));
                let mut validity = Message::Valid;
                while let Some(bytes) = body.next().await {
                    match bytes {
                        Ok(bytes) => {
                            request.pass(bytes.len()).await;
                            self.wire.send_data(&bytes, request.stalled()).await?;
                        }
                        // The client can still be told; otherwise closing is the only way.
                        Err(error) if body.is_all() && self.version.has_validity() => {
                            tracing::warn!("{key}: {error}");
                            validity = Message::Invalid;
                            break;
                        }
                        Err(error) => return Err(SessionError::Content(error)),
                    }
                }
                match validity {
                    Message::Valid => request.end(&Outcome::Done(&[body.source().clone()])),
                    _ => request.end(&Outcome::Failed("what the node gave is not the content of the key")),
                }
                validity
            }
            None => {
                request.end(&Outcome::No);
                self.wire.queue(&Message::Data(0));
                Message::Invalid
            }
        };
        if self.version.has_validity() {
            self.wire.queue(&validity);
        }
        self.wire.flush().await?;
        let Some(outcome) = self.next_request().await? else { return Ok(Next::End) };
        if let Verdict::Refuse(text) = Expect::Outcome.judge(outcome.as_ref(), self.version) {
            self.wire.send(&Message::error(text)).await?;
        }
        Ok(Next::Request)
    }
}
