//! put and putoffset: content from the client.

use std::time::Duration;

use annex_gateway::gateway::{Put, Receiving};
use annex_protocol::key::Key;
use annex_protocol::p2p::{AssociatedFile, Version};
use annex_protocol::p2p_http::DATA_LENGTH;
use annex_protocol::uuid::Uuid;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;

use super::{Asked, busy, failed};
use crate::doors::http::body;
use crate::doors::http::reply::{self, Refused};
use crate::host::traffic::{Operation, Outcome, Request};

/// How much of the announced content came.
#[derive(PartialEq, Eq)]
enum Came {
    All,
    TooLittle,
    TooMuch,
}

impl Asked {
    pub(super) async fn put(&self, version: Version, body: &mut Body) -> Result<Response, Refused> {
        let key = self.key()?;
        let length = self.data_length()?;
        if self.query.data_present && version.has_data_present() {
            return self.data_present(version, key).await;
        }
        let mut request = self.scope.request(Operation::Put, key);
        if let Err(error) = request.turn().await {
            return Err(busy(request, &error));
        }
        match self.gateway.put(self.target, key, &self.file()).await {
            Ok(Put::AlreadyHave(holders)) => {
                self.hub.commit_soon(&self.hosted);
                request.end(&Outcome::Done(&holders));
                Ok(self.stored(version, Some(&holders)))
            }
            Ok(Put::Receive(receiving)) => {
                let stored = self.receive(request, receiving, length, body).await;
                self.hub.commit_soon(&self.hosted);
                Ok(self.stored(version, stored.as_deref()))
            }
            Err(error) => Err(failed(request, &error)),
        }
    }

    /// Tells where an upload would go on, and leaves what is there of it as it is.
    pub(super) async fn put_offset(&self, version: Version) -> Result<Response, Refused> {
        let key = self.key()?;
        let request = self.scope.request(Operation::Put, key);
        let answer = match self.gateway.put(self.target, key, &self.file()).await {
            Ok(Put::AlreadyHave(holders)) => {
                self.hub.commit_soon(&self.hosted);
                request.end(&Outcome::Done(&holders));
                if version.has_plus() {
                    json!({ "alreadyhave": true, "plusuuids": self.others(&holders) })
                } else {
                    json!({ "alreadyhave": true })
                }
            }
            Ok(Put::Receive(receiving)) => {
                let offset = receiving.offset();
                receiving.suspend().await;
                request.end(&Outcome::No);
                json!({ "offset": offset })
            }
            Err(error) => return Err(failed(request, &error)),
        };
        Ok(reply::json(&answer))
    }

    /// Answers a client that says the content has come another way.
    async fn data_present(&self, version: Version, key: &Key) -> Result<Response, Refused> {
        let request = self.scope.request(Operation::Put, key);
        match self.gateway.holders(self.target, key).await {
            Ok(holders) => {
                self.hub.commit_soon(&self.hosted);
                request.end(&if holders.is_empty() { Outcome::No } else { Outcome::Done(&holders) });
                Ok(self.stored(version, Some(holders.as_slice()).filter(|holders| !holders.is_empty())))
            }
            Err(error) => Err(failed(request, &error)),
        }
    }

    /// Takes the content; returns the nodes that have it now, or `None` if it was not stored.
    async fn receive(
        &self,
        mut request: Request,
        mut receiving: Receiving,
        length: u64,
        body: &mut Body,
    ) -> Option<Vec<Uuid>> {
        let skipped = receiving.offset().checked_sub(self.query.offset.unwrap_or_default());
        let Some(skipped) = skipped.filter(|skipped| *skipped <= length) else {
            // What lies between is missing. What came earlier is still good.
            receiving.suspend().await;
            request.end(&Outcome::Failed("the client sends the content from a later byte than is wanted"));
            return None;
        };
        receiving.announce(length - skipped).await;
        let came = take(&mut request, &mut receiving, skipped, length, body).await;
        if came == Came::TooLittle {
            receiving.suspend().await;
            request.end(&Outcome::Failed("less came than was announced"));
            return None;
        }
        match receiving.finish(came == Came::All).await {
            Ok(Some(stored)) => {
                request.end(&Outcome::stored(&stored));
                Some(stored.nodes)
            }
            Ok(None) => {
                request.end(&Outcome::No);
                None
            }
            Err(error) => {
                tracing::warn!("not stored: {error}");
                request.end(&Outcome::Failed(&error.to_string()));
                None
            }
        }
    }

    fn stored(&self, version: Version, stored: Option<&[Uuid]>) -> Response {
        let mut answer = json!({ "stored": stored.is_some() });
        if let (true, Some(fields)) = (version.has_plus(), answer.as_object_mut()) {
            fields.insert("plusuuids".to_owned(), json!(self.others(stored.unwrap_or_default())));
        }
        reply::json(&answer)
    }

    fn data_length(&self) -> Result<u64, Refused> {
        let missing = || Refused::bad_request(format!("Header {DATA_LENGTH} is required"));
        let value = self.headers.get(DATA_LENGTH).ok_or_else(missing)?;
        // `parse` alone would take a plus sign.
        let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let unreadable = || Refused::bad_request(format!("Header {DATA_LENGTH} is not a number of bytes"));
        digits.and_then(|digits| digits.parse().ok()).ok_or_else(unreadable)
    }

    /// Returns the file that has the content. One that is no path of a repository is as good as none.
    fn file(&self) -> AssociatedFile {
        self.query.file.as_deref().and_then(AssociatedFile::encode).unwrap_or_default()
    }
}

/// Passes content on as it comes, without what the nodes have already. Nothing past the announced length is taken.
async fn take(request: &mut Request, receiving: &mut Receiving, skipped: u64, length: u64, body: &mut Body) -> Came {
    let (mut skipped, mut left) = (skipped, length);
    let stalled = request.stalled();
    while let Some(mut bytes) = data(body, stalled).await {
        if bytes.len() as u64 > left {
            return Came::TooMuch;
        }
        left -= bytes.len() as u64;
        let known = bytes.len().min(usize::try_from(skipped).unwrap_or(usize::MAX));
        skipped -= known as u64;
        drop(bytes.split_to(known));
        if !bytes.is_empty() {
            request.pass(bytes.len()).await;
            receiving.push(bytes).await;
        }
    }
    if left == 0 { Came::All } else { Came::TooLittle }
}

/// Returns the next bytes of a body; `None` at its end, and where the connection broke off or nothing came for too long.
async fn data(body: &mut Body, stalled: Duration) -> Option<Bytes> {
    body::next(body, stalled).await.unwrap_or_else(|broken| {
        tracing::debug!("http: {broken}");
        None
    })
}
