//! Content on its way to an HTTP client: all of it, or parts.

use std::collections::VecDeque;
use std::io;

use annex_gateway::gateway;
use annex_protocol::key::Key;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use super::p2p::{Asked, busy, failed};
use super::reply::Refused;
use crate::host::traffic::{Operation, Outcome, Request};

/// Content that is being sent. An error breaks the connection off: nothing else tells a client that bytes are missing.
pub(super) struct Download {
    asked: Asked,
    key: Key,
    request: Option<Request>,
    body: gateway::Body,
    /// Bytes that are still to come of the present part.
    left: u64,
    parts: VecDeque<Part>,
    /// The last byte of the content. What was sent whole cannot be called back: it waits until all is known to be the key's.
    last: Option<Bytes>,
}

/// A part of the content, and what stands before it in the answer.
pub(super) struct Part {
    pub(super) before: Bytes,
    pub(super) from: u64,
    pub(super) length: u64,
}

/// Returns the size of a key's content without reading it; refused if it is not there.
pub(super) async fn size(asked: &Asked, key: &Key) -> Result<u64, Refused> {
    let request = asked.scope.request(Operation::CheckPresent, key);
    let size = match (asked.gateway.present(asked.target, key).await, key.content_size()) {
        (Ok(false), _) => Ok(None),
        (Ok(true), Some(size)) => Ok(Some(size)),
        (Ok(true), None) => {
            let body = asked.gateway.get(asked.target, key, 0).await;
            body.map(|body| body.map(|body| body.size()))
        }
        (Err(error), _) => Err(error),
    };
    match size {
        Ok(size) => {
            request.end(&if size.is_some() { Outcome::Done(&[]) } else { Outcome::No });
            size.ok_or_else(|| not_here(key))
        }
        Err(error) => Err(failed(request, &error)),
    }
}

fn not_here(key: &Key) -> Refused {
    Refused::not_found(format!("no content here: {key}"))
}

impl Download {
    /// Begins to fetch a key's content at `offset`; refused if it is not there.
    pub(super) async fn open(asked: Asked, key: &Key, offset: u64) -> Result<Self, Refused> {
        let mut request = asked.scope.request(Operation::Get, key);
        if let Err(error) = request.turn().await {
            return Err(busy(request, &error));
        }
        let opened = asked.gateway.get(asked.target, key, offset).await;
        // A copy may have turned out to be lost, which is to be seen by the next fetch.
        asked.hub.commit_soon(&asked.hosted);
        match opened {
            Ok(Some(body)) => {
                let left = body.length();
                Ok(Self {
                    asked,
                    key: key.clone(),
                    request: Some(request),
                    body,
                    left,
                    parts: VecDeque::new(),
                    last: None,
                })
            }
            Ok(None) => {
                request.end(&Outcome::No);
                Err(not_here(key))
            }
            Err(error) => Err(failed(request, &error)),
        }
    }

    /// Returns how many bytes of the content are still to come, if all of it is wanted.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Returns the size of the whole content.
    pub(super) fn size(&self) -> u64 {
        self.body.size()
    }

    /// Ends after `length` bytes.
    pub(super) fn take(mut self, length: u64) -> Self {
        self.left = self.left.min(length);
        self
    }

    /// Sends these parts instead; the first one that has any bytes begins where this was opened.
    pub(super) fn parts(mut self, parts: Vec<Part>) -> Self {
        self.left = 0;
        self.parts = parts.into();
        self
    }

    /// Returns the body of an answer.
    pub(super) fn into_body(self) -> Body {
        Body::from_stream(stream::unfold(Some(self), async |download| {
            let mut download = download?;
            match download.next().await {
                Ok(bytes) => Some((Ok(bytes?), Some(download))),
                Err(error) => {
                    if let Some(request) = download.request.take() {
                        request.end(&Outcome::Failed(&error.to_string()));
                    }
                    tracing::warn!("sending content: {error}");
                    Some((Err(error), None))
                }
            }
        }))
    }

    async fn next(&mut self) -> Result<Option<Bytes>, io::Error> {
        if let Some(last) = self.last.take() {
            if let Some(checked) = self.body.next().await {
                checked.map_err(io::Error::other)?;
            }
            if let Some(request) = &mut self.request {
                request.pass(last.len()).await;
            }
            // With the last byte the client has all that it was promised, and nobody may ask for more.
            if self.left == 0 && self.parts.is_empty() {
                self.end();
            }
            return Ok(Some(last));
        }
        while self.left == 0 {
            let Some(part) = self.parts.pop_front() else {
                self.end();
                return Ok(None);
            };
            self.go_to(&part).await?;
            if !part.before.is_empty() {
                return Ok(Some(part.before));
            }
        }
        let Some(bytes) = self.body.next().await else {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the content ended early"));
        };
        let mut bytes = bytes.map_err(io::Error::other)?;
        bytes.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= bytes.len() as u64;
        if self.body.is_all() {
            self.last = Some(bytes.split_off(bytes.len().saturating_sub(1)));
        }
        if let Some(request) = &mut self.request {
            request.pass(bytes.len()).await;
        }
        Ok(Some(bytes))
    }

    async fn go_to(&mut self, part: &Part) -> Result<(), io::Error> {
        self.left = part.length;
        if part.length == 0 || self.body.position() == part.from {
            return Ok(());
        }
        let opened = self.asked.gateway.get(self.asked.target, &self.key, part.from).await.map_err(io::Error::other)?;
        self.body = opened.ok_or_else(|| io::Error::other("the content was removed"))?;
        Ok(())
    }

    fn end(&mut self) {
        if let Some(request) = self.request.take() {
            request.end(&Outcome::Done(&[self.body.source().clone()]));
        }
        self.asked.hub.commit_soon(&self.asked.hosted);
    }
}
