//! The server side of a P2P conversation, over any byte stream.
//!
//! Source: spec `p2p-protocol.md` §2 to §9, §12.

use std::time::Duration;

use annex_gateway::gateway::{Gateway, GatewayError, Locked, Removed, Target, joined};
use annex_gateway::wire::Wire;
use annex_protocol::key::Key;
use annex_protocol::p2p::{AssociatedFile, Expect, Message, Mode, ParseError, Verdict, Version};
use annex_protocol::uuid::Uuid;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use crate::host::hub::COMMIT_AFTER;
use crate::host::traffic::{Operation, Outcome, Request, Scope};
pub use annex_gateway::wire::WireError;

mod get;
mod put;

/// Who is served, and what they may do.
pub struct Service {
    /// The repository.
    pub gateway: Gateway,
    /// The UUID that the client asked for.
    pub uuid: Uuid,
    /// What that UUID stands for.
    pub target: Target,
    /// What the client may do.
    pub mode: Mode,
    /// For whom that is done, and where it is counted.
    pub scope: Scope,
    /// Ends the conversation between two requests.
    pub drain: CancellationToken,
    /// Takes what the client's user should read and the client does not show.
    pub notes: UnboundedSender<String>,
}

/// Why a conversation ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The connection failed, or the client broke the protocol off.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Content could not be sent to its announced end; closing is the only way to say so.
    #[error("sending content: {0}")]
    Content(GatewayError),
    /// What was done could not be recorded.
    #[error("recording in the git-annex branch: {0}")]
    Record(GatewayError),
}

/// How often a lock that is held is made to last on.
pub(super) const RENEW_EVERY: Duration = Duration::from_secs(60);

struct Session<R, W> {
    service: Service,
    wire: Wire<R, W>,
    version: Version,
    /// Something was recorded that is not committed yet.
    dirty: bool,
}

/// What becomes of a session after a message.
enum Next {
    Request,
    End,
}

/// Serves a conversation until the client closes it.
pub async fn serve<R, W>(service: Service, reader: R, writer: W) -> Result<(), SessionError>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let mut session = Session { service, wire: Wire::new(reader, writer), version: Version::default(), dirty: false };
    let served = session.run().await;
    // Committed whatever happened: what was confirmed to the client is to be seen by the next fetch.
    let committed = session.commit().await;
    served.and(committed)
}

impl<R: AsyncRead + Unpin + Send, W: AsyncWrite + Unpin + Send> Session<R, W> {
    async fn run(&mut self) -> Result<(), SessionError> {
        self.wire.send(&Message::AuthSuccess(self.service.uuid.clone())).await?;
        loop {
            let drain = self.service.drain.clone();
            let message = tokio::select! {
                biased;
                message = self.next_request() => message?,
                () = drain.cancelled() => None,
            };
            let Some(message) = message else { break };
            match Expect::Request.judge(message.as_ref(), self.version) {
                Verdict::Fits => {}
                Verdict::Refuse(text) => {
                    self.wire.send(&Message::error(text)).await?;
                    continue;
                }
                Verdict::Ignore => continue,
                Verdict::End => break,
            }
            if let (Ok(message), Next::End) = (&message, self.request_of(&message).await?) {
                tracing::debug!(?message, "session ended");
                break;
            }
        }
        Ok(())
    }

    async fn request_of(&mut self, message: &Result<Message, ParseError>) -> Result<Next, SessionError> {
        let Ok(message) = message else { return Ok(Next::Request) };
        if let Some(refusal) = self.service.mode.refusal(message) {
            // A client does not show every answer to its user, but what comes over ssh's standard error.
            tracing::warn!(user = %self.service.scope.who, "{refusal}");
            self.wire.send(&Message::error(refusal)).await?;
            return Ok(Next::Request);
        }
        self.request(message).await
    }

    async fn request(&mut self, message: &Message) -> Result<Next, SessionError> {
        let (gateway, target) = (self.service.gateway.clone(), self.service.target);
        let reply = match message {
            Message::Version(offered) => {
                self.version = Version::negotiate(*offered);
                Message::Version(self.version.number())
            }
            Message::Bypass(gateways) => {
                self.service.gateway = gateway.past(&gateways.iter().cloned().collect());
                return Ok(Next::Request);
            }
            Message::CheckPresent(key) => {
                let request = self.service.scope.request(Operation::CheckPresent, key);
                ended(request, yes_or_no(gateway.present(target, key).await))
            }
            Message::GetTimestamp => match gateway.now().await {
                Ok(now) => Message::Timestamp(now),
                Err(error) => failure(&error),
            },
            Message::LockContent(key) => {
                let request = self.service.scope.request(Operation::Lock, key);
                match gateway.lock(target, key).await {
                    Ok(Some(lock)) => {
                        request.end(&Outcome::Done(&[]));
                        return self.hold(lock).await;
                    }
                    Ok(None) => ended(request, Message::Failure),
                    Err(error) => ended(request, failure(&error)),
                }
            }
            Message::Remove(key) => self.remove(key, None).await,
            Message::RemoveBefore { deadline, key } => self.remove(key, Some(*deadline)).await,
            Message::Get { offset, file: _, key } => return self.get(key, *offset).await,
            Message::Put { file, key } => return self.put(key, file).await,
            Message::Connect(_) => {
                Message::error("relaying to git is not supported on this connection; use git over ssh")
            }
            Message::NotifyChange => Message::error(
                "change notification is not available on this connection; use git-annex-shell notifychanges",
            ),
            _ => Message::error("unexpected command"),
        };
        self.wire.send(&reply.for_version(self.version)).await?;
        Ok(Next::Request)
    }

    /// Tells the client's user why a transfer failed: clients keep the text of that answer to themselves.
    fn tell(&self, text: impl std::fmt::Display) {
        // A client that is gone cannot be told.
        let _ = self.service.notes.send(text.to_string());
    }

    /// Waits for the next message. While none comes, commits what was recorded.
    async fn next_request(&mut self) -> Result<Option<Result<Message, ParseError>>, SessionError> {
        if self.dirty {
            match tokio::time::timeout(COMMIT_AFTER, self.wire.receive()).await {
                Ok(received) => return Ok(received?),
                Err(_) => self.commit().await?,
            }
        }
        Ok(self.wire.receive().await?)
    }

    async fn commit(&mut self) -> Result<(), SessionError> {
        if std::mem::take(&mut self.dirty) {
            self.service.gateway.commit().await.map_err(SessionError::Record)?;
        }
        Ok(())
    }

    /// Holds a lock until the client gives it back. If the client is lost, the lock stays until its deadline.
    async fn hold(&mut self, lock: Locked) -> Result<Next, SessionError> {
        self.wire.send(&Message::Success).await?;
        let message = loop {
            match tokio::time::timeout(RENEW_EVERY, self.next_request()).await {
                Ok(message) => break message?,
                Err(_elapsed) => {
                    if let Err(error) = self.service.gateway.renew(&lock).await {
                        tracing::warn!("making a lock last on: {error}");
                    }
                }
            }
        };
        let Some(message) = message else { return Ok(Next::End) };
        let verdict = Expect::Unlock.judge(message.as_ref(), self.version);
        if let Err(error) = self.service.gateway.unlock(lock).await {
            // It ends by its deadline then; nobody is told anything untrue.
            tracing::warn!("unlocking content: {error}");
        }
        if let Verdict::Refuse(text) = verdict {
            self.wire.send(&Message::error(text)).await?;
        }
        Ok(Next::Request)
    }

    async fn remove(&mut self, key: &Key, before: Option<u64>) -> Message {
        let request = self.service.scope.request(Operation::Remove, key);
        let Removed { gone, failures } = match self.service.gateway.remove(self.service.target, key, before).await {
            Ok(removed) => removed,
            Err(error) => return ended(request, failure(&error)),
        };
        self.dirty = true;
        match failures.as_slice() {
            [] => request.end(&Outcome::Done(&gone)),
            failures => request.end(&Outcome::Failed(&joined(failures))),
        }
        for failure in &failures {
            tracing::warn!("removing {key}: {failure}");
        }
        let others: Vec<Uuid> = gone.into_iter().filter(|uuid| *uuid != self.service.uuid).collect();
        match (failures.is_empty(), others.is_empty()) {
            (true, true) => Message::Success,
            (true, false) => Message::SuccessPlus(others),
            (false, false) if self.version.has_plus() => Message::FailurePlus(others),
            // The client shows the text of an ERROR to its user, but would not know what is gone from a plain one.
            (false, _) => Message::error(joined(&failures)),
        }
    }
}

/// Ends a request with what it is answered.
fn ended(request: Request, reply: Message) -> Message {
    match &reply {
        Message::Failure => request.end(&Outcome::No),
        Message::Error(text) => request.end(&Outcome::Failed(&String::from_utf8_lossy(text))),
        _ => request.end(&Outcome::Done(&[])),
    }
    reply
}

fn yes_or_no(outcome: Result<bool, GatewayError>) -> Message {
    match outcome {
        Ok(true) => Message::Success,
        Ok(false) => Message::Failure,
        Err(error) => failure(&error),
    }
}

/// Reports a failed request to the client, in one line.
fn failure(error: &GatewayError) -> Message {
    Message::error(error.to_string().replace(['\n', '\r'], " "))
}

/// Names a file for messages.
fn named(file: &AssociatedFile, key: &Key) -> String {
    file.decode().map_or_else(|| key.to_string(), |name| String::from_utf8_lossy(&name).into_owned())
}
