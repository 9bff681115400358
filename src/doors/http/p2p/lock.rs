//! lockcontent and keeplocked: a lock that outlives connections, and the stream that holds it.

use annex_protocol::p2p_http::UnlockReader;
use axum::body::Body;
use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::json;

use crate::doors::http::key_request::{KeyRequest, missing};
use crate::doors::http::reply::{self, Refused};

impl KeyRequest {
    pub(super) async fn lock_content(&self) -> Result<Response, Refused> {
        let name = self.access.lock_by_name(self.key()?).await.map_err(Refused::of)?;
        Ok(reply::json(&match name {
            Some(name) => json!({ "locked": true, "lockid": name }),
            None => json!({ "locked": false }),
        }))
    }

    /// Holds a lock for as long as the body lasts. Answering earlier would tell the client that the lock is lost.
    ///
    /// A body that ends or breaks off without giving the lock back leaves it until its deadline.
    pub(super) async fn keep_locked(&self, body: &mut Body) -> Result<Response, Refused> {
        let name = self.query.lock.as_deref().ok_or_else(|| missing("lockid"))?;
        let kept = match std::str::from_utf8(name) {
            Ok(name) => self.access.keep_lock(name, self.given_back(body)).await,
            Err(_) => Ok(None),
        };
        match kept.map_err(Refused::of)? {
            Some(kept) => kept?,
            // A lock that is lost: nothing is answered before the client has said all.
            None => drop(self.given_back(body).await?),
        }
        Ok(reply::json(&json!({ "locked": false })))
    }

    /// Reads until the client says something final; returns whether the lock is to be given back. False at the end of the
    /// body.
    async fn given_back(&self, body: &mut Body) -> Result<bool, Refused> {
        let mut reader = UnlockReader::default();
        loop {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                () = self.hub.shutdown().drain.cancelled() => {
                    return Err(Refused::busy("the server is ending; the lock stays until its deadline"));
                }
            };
            let Some(Ok(frame)) = frame else { return Ok(false) };
            let read = reader.push(frame.data_ref().map_or(&[][..], |bytes| bytes));
            if read.map_err(|error| Refused::bad_request(error.to_string()))? {
                return Ok(true);
            }
        }
    }
}
