//! GET: content to the client.

use annex_protocol::key::Key;
use annex_protocol::p2p::{Expect, Message, Verdict};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Next, Session, SessionError, answer};

impl<R: AsyncRead + Unpin + Send, W: AsyncWrite + Unpin + Send> Session<R, W> {
    pub(super) async fn get(&mut self, key: &Key, offset: u64) -> Result<Next, SessionError> {
        let validity = match self.access.get(key, offset).await {
            Ok(Some(mut download)) => {
                self.wire.queue(&Message::Data(download.left()));
                let mut validity = Message::Valid;
                while let Some(bytes) = download.next().await {
                    match bytes {
                        Ok(bytes) => self.wire.send_data(&bytes, download.stalled()).await?,
                        // The client can still be told; otherwise closing is the only way.
                        Err(error) if download.is_all() && self.version.has_validity() => {
                            tracing::warn!("{key}: {error}");
                            validity = Message::Invalid;
                            break;
                        }
                        Err(error) => return Err(SessionError::Content(error)),
                    }
                }
                validity
            }
            Ok(None) => {
                self.wire.queue(&Message::Data(0));
                Message::Invalid
            }
            Err(error) => {
                self.tell(&error);
                // In place of DATA, it ends the request.
                self.wire.send(&answer::failed(&error)).await?;
                return Ok(Next::Request);
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
