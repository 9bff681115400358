//! The server side of a P2P conversation, over any byte stream.
//!
//! Source: `docs/spec/p2p-protocol.md` §2 to §9, §12.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use annex_gateway::gateway::{Gateway, GatewayError, Target};
use annex_gateway::wire::{Wire, WireError};
use annex_protocol::key::Key;
use annex_protocol::p2p::{Expect, Message, Mode, ParseError, Verdict, Version};
use annex_protocol::uuid::Uuid;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use crate::host::access::{Access, Commits, HeldLock};
use crate::host::hub::COMMIT_AFTER;
use crate::host::traffic::Scope;

mod answer;
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

struct Session<R, W> {
    access: Access,
    mode: Mode,
    drain: CancellationToken,
    notes: UnboundedSender<String>,
    wire: Wire<R, W>,
    version: Version,
    /// Something may have been recorded that is not committed yet.
    due: Arc<AtomicBool>,
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
    let Service { gateway, uuid, target, mode, scope, drain, notes } = service;
    let due = Arc::new(AtomicBool::new(false));
    let access = Access { gateway, uuid, target, scope, commits: Commits::ByDoor(Arc::clone(&due)) };
    let (wire, version) = (Wire::new(reader, writer), Version::default());
    let mut session = Session { access, mode, drain, notes, wire, version, due };
    let served = session.run().await;
    // Committed whatever happened: what was confirmed to the client is to be seen by the next fetch.
    let committed = session.commit().await;
    served.and(committed)
}

impl<R: AsyncRead + Unpin + Send, W: AsyncWrite + Unpin + Send> Session<R, W> {
    async fn run(&mut self) -> Result<(), SessionError> {
        self.wire.send(&Message::AuthSuccess(self.access.uuid.clone())).await?;
        loop {
            let drain = self.drain.clone();
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
        if let Some(refusal) = self.mode.refusal(message) {
            // A client does not show every answer to its user, but what comes over ssh's standard error.
            tracing::warn!(user = %self.access.scope.who, "{refusal}");
            self.wire.send(&Message::error(refusal)).await?;
            return Ok(Next::Request);
        }
        self.request(message).await
    }

    async fn request(&mut self, message: &Message) -> Result<Next, SessionError> {
        let reply = match message {
            Message::Version(offered) => {
                self.version = Version::negotiate(*offered);
                Message::Version(self.version.number())
            }
            Message::Bypass(gateways) => {
                self.access.gateway = self.access.gateway.past(&gateways.iter().cloned().collect());
                return Ok(Next::Request);
            }
            Message::CheckPresent(key) => answer::yes_or_no(self.access.present(key).await),
            Message::GetTimestamp => match self.access.gateway.now().await {
                Ok(now) => Message::Timestamp(now),
                Err(error) => answer::failed(&error),
            },
            Message::LockContent(key) => match self.access.lock(key).await {
                Ok(Some(held)) => return self.hold(held).await,
                Ok(None) => Message::Failure,
                Err(error) => answer::failed(&error),
            },
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
        let _ = self.notes.send(text.to_string());
    }

    /// Waits for the next message. While none comes, commits what was recorded.
    async fn next_request(&mut self) -> Result<Option<Result<Message, ParseError>>, SessionError> {
        if self.due.load(Ordering::Relaxed) {
            match tokio::time::timeout(COMMIT_AFTER, self.wire.receive()).await {
                Ok(received) => return Ok(received?),
                Err(_) => self.commit().await?,
            }
        }
        Ok(self.wire.receive().await?)
    }

    async fn commit(&mut self) -> Result<(), SessionError> {
        if self.due.swap(false, Ordering::Relaxed)
            && let Err(error) = self.access.gateway.commit().await
        {
            self.due.store(true, Ordering::Relaxed);
            return Err(SessionError::Record(error));
        }
        Ok(())
    }

    /// Holds a lock until the client gives it back. If the client is lost, the lock stays until its deadline.
    async fn hold(&mut self, held: HeldLock) -> Result<Next, SessionError> {
        self.wire.send(&Message::Success).await?;
        let Some(message) = held.until(self.next_request()).await? else { return Ok(Next::End) };
        let verdict = Expect::Unlock.judge(message.as_ref(), self.version);
        held.release().await;
        if let Verdict::Refuse(text) = verdict {
            self.wire.send(&Message::error(text)).await?;
        }
        Ok(Next::Request)
    }

    async fn remove(&mut self, key: &Key, before: Option<u64>) -> Message {
        match self.access.remove(key, before).await {
            Ok(removed) => answer::removed(self.access.others(removed.gone), &removed.failures, self.version),
            Err(error) => answer::failed(&error),
        }
    }
}
