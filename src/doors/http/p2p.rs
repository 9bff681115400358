//! The P2P protocol over HTTP, versions 0 to 4, and plain downloads of keys.
//!
//! Source: `docs/spec/p2p-http.md`.

use annex_gateway::site::user::Role;
use annex_protocol::p2p::Version;
use annex_protocol::p2p_http::{Address, AddressError, Call, Resource};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use super::key;
use super::key_request::{KeyRequest, missing};
use super::reply::{Refused, json};
use crate::host::hub::Hub;

mod get;
mod lock;
mod put;
mod remove;

/// Returns what answers below `/git-annex/`.
pub(super) fn routes() -> Router<Hub> {
    Router::new().route("/git-annex/{*rest}", any(answer).layer(key::cross_origin()))
}

async fn answer(State(hub): State<Hub>, request: Request) -> Response {
    // Not in the connection's own task: a client that goes away must not stop a removal or an upload half way.
    let running = hub.shutdown().running.clone();
    let working = running.spawn(async move {
        let (parts, mut body) = request.into_parts();
        let answered = respond(&hub, parts, &mut body).await;
        answered.unwrap_or_else(IntoResponse::into_response)
    });
    working.await.unwrap_or_else(|lost| Refused::failed(format!("answering a request: {lost}")).into_response())
}

async fn respond(hub: &Hub, parts: Parts, body: &mut Body) -> Result<Response, Refused> {
    let address = Address::parse(parts.uri.path().as_bytes()).map_err(|error| match error {
        AddressError::Uuid | AddressError::Key => Refused::bad_request(error.to_string()),
        _ => Refused::not_found(error.to_string()),
    })?;
    let needed = match &address.resource {
        Resource::Key { .. } if parts.method != Method::GET && parts.method != Method::HEAD => {
            return Err(Refused::method("GET, HEAD, OPTIONS"));
        }
        Resource::Call { .. } if parts.method != Method::POST => return Err(Refused::method("POST")),
        Resource::Key { .. } => Role::Read,
        Resource::Call { call, .. } => needed(*call),
    };
    let asked = KeyRequest::understand(hub, address.uuid, needed, &parts).await?;
    let head = parts.method == Method::HEAD;
    match address.resource {
        Resource::Key { version: None, key } => key::answer(&asked, &key, head).await,
        Resource::Key { version: Some(_), key } => get::answer(&asked, &key, head).await,
        Resource::Call { version, call } => asked.call(version, call, body).await,
    }
}

/// Returns the role that a call needs. Locking is reading: it keeps what is there.
fn needed(call: Call) -> Role {
    match call {
        Call::CheckPresent | Call::GetTimestamp | Call::LockContent | Call::KeepLocked => Role::Read,
        Call::Put | Call::PutOffset => Role::Append,
        Call::Remove | Call::RemoveBefore => Role::Write,
    }
}

impl KeyRequest {
    async fn call(&self, version: Version, call: Call, body: &mut Body) -> Result<Response, Refused> {
        if call != Call::KeepLocked {
            self.client()?;
        }
        match call {
            Call::CheckPresent => self.check_present().await,
            Call::GetTimestamp => {
                let now = self.access.gateway.now().await.map_err(Refused::of)?;
                Ok(json(&serde_json::json!({ "timestamp": now })))
            }
            Call::LockContent => self.lock_content().await,
            Call::KeepLocked => self.keep_locked(body).await,
            Call::Remove => self.remove(version, None).await,
            Call::RemoveBefore => {
                let before = self.query.timestamp.ok_or_else(|| missing("timestamp"))?;
                self.remove(version, Some(before)).await
            }
            Call::Put => self.put(version, body).await,
            Call::PutOffset => self.put_offset(version).await,
        }
    }

    async fn check_present(&self) -> Result<Response, Refused> {
        let present = self.access.present(self.key()?).await.map_err(Refused::of)?;
        Ok(json(&serde_json::json!({ "present": present })))
    }
}
