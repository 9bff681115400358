//! lockcontent and keeplocked: a lock that outlives connections, and the stream that holds it.

use annex_gateway::gateway::Locked;
use annex_gateway::lock_time::RENEW_EVERY;
use annex_protocol::p2p_http::UnlockReader;
use axum::body::Body;
use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::{Asked, failed, missing};
use crate::doors::http::reply::{self, Refused};
use crate::host::traffic::{Operation, Outcome};

impl Asked {
    pub(super) async fn lock_content(&self) -> Result<Response, Refused> {
        let key = self.key()?;
        let request = self.scope.request(Operation::Lock, key);
        let locked = match self.gateway.lock(self.target, key).await {
            Ok(locked) => locked,
            Err(error) => return Err(failed(request, &error)),
        };
        let Some(locked) = locked else {
            request.end(&Outcome::No);
            return Ok(reply::json(&json!({ "locked": false })));
        };
        match self.gateway.name_lock(locked).await {
            Ok(name) => {
                request.end(&Outcome::Done(&[]));
                Ok(reply::json(&json!({ "locked": true, "lockid": name })))
            }
            Err(error) => Err(failed(request, &error)),
        }
    }

    /// Holds a lock for as long as the body lasts. Answering earlier would tell the client that the lock is lost.
    ///
    /// A body that ends or breaks off without giving the lock back leaves it until its deadline.
    pub(super) async fn keep_locked(&self, body: &mut Body) -> Result<Response, Refused> {
        let name = self.query.lock.as_deref().ok_or_else(|| missing("lockid"))?;
        let found = match std::str::from_utf8(name) {
            Ok(name) => self.gateway.find_lock(name).await.map_err(Refused::failed)?,
            Err(_) => None,
        };
        let Some((locked, key)) = found else {
            let mut reader = UnlockReader::default();
            while let Some(false) = self.message(body, &mut reader).await? {}
            return Ok(reply::json(&json!({ "locked": false })));
        };
        let request = self.scope.request(Operation::Lock, &key);
        match self.hold(&locked, body).await {
            Ok(true) => {
                self.give_back(locked).await;
                request.end(&Outcome::Done(&[]));
            }
            Ok(false) => request.end(&Outcome::Failed("not given back: the lock stays until its deadline")),
            Err(refused) => {
                request.end(&Outcome::Failed("the lock stays until its deadline"));
                return Err(refused);
            }
        }
        Ok(reply::json(&json!({ "locked": false })))
    }

    /// Returns whether the lock is to be given back.
    async fn hold(&self, locked: &Locked, body: &mut Body) -> Result<bool, Refused> {
        let mut reader = UnlockReader::default();
        let mut renewal = interval(RENEW_EVERY);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = self.message(body, &mut reader) => match message? {
                    Some(true) => return Ok(true),
                    Some(false) => {}
                    None => return Ok(false),
                },
                _ = renewal.tick() => {
                    if let Err(error) = self.gateway.renew(locked).await {
                        tracing::warn!("making a lock last on: {error}");
                    }
                }
            }
        }
    }

    /// Reads on; returns whether the lock is to be given back, or `None` at the end of the body.
    async fn message(&self, body: &mut Body, reader: &mut UnlockReader) -> Result<Option<bool>, Refused> {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = self.hub.shutdown().drain.cancelled() => {
                return Err(Refused::busy("the server is ending; the lock stays until its deadline"));
            }
        };
        let Some(Ok(frame)) = frame else { return Ok(None) };
        let read = reader.push(frame.data_ref().map_or(&[][..], |bytes| bytes));
        read.map(Some).map_err(|error| Refused::bad_request(error.to_string()))
    }

    async fn give_back(&self, locked: Locked) {
        if let Err(error) = self.gateway.unlock(locked).await {
            // It ends by its deadline then; nobody is told anything untrue.
            tracing::warn!("unlocking content: {error}");
        }
    }
}
