//! The P2P protocol over HTTP, versions 0 to 4, and plain downloads of keys.
//!
//! Source: `docs/spec/p2p-http.md`.

use std::sync::Arc;

use annex_gateway::gateway::{Gateway, GatewayError, Target};
use annex_gateway::site::user::Role;
use annex_protocol::key::Key;
use annex_protocol::p2p::Version;
use annex_protocol::p2p_http::{Address, AddressError, Call, Query, QueryError, Resource};
use annex_protocol::uuid::Uuid;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use super::reply::{Refused, json};
use super::{auth, key};
use crate::host::hub::{Hosted, Hub};
use crate::host::traffic::{Busy, Operation, Outcome, Scope};

mod get;
mod lock;
mod put;
mod remove;

/// A request that was understood, from somebody who may make it.
pub(super) struct Asked {
    pub(super) hub: Hub,
    pub(super) hosted: Arc<Hosted>,
    pub(super) gateway: Gateway,
    pub(super) uuid: Uuid,
    pub(super) target: Target,
    pub(super) query: Query,
    pub(super) scope: Scope,
    pub(super) headers: HeaderMap,
}

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
    let asked = understand(hub, address.uuid, needed, &parts).await?;
    let head = parts.method == Method::HEAD;
    match address.resource {
        Resource::Key { version: None, key } => key::answer(asked, &key, head).await,
        Resource::Key { version: Some(_), key } => get::answer(asked, &key, head).await,
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

async fn understand(hub: &Hub, uuid: Uuid, needed: Role, parts: &Parts) -> Result<Asked, Refused> {
    let who = auth::who(hub, &parts.headers).await?;
    let unknown = || Refused::not_found(format!("no repository here has the UUID {uuid}"));
    let hosted = hub.find(&uuid).await.map_err(Refused::failed)?.ok_or_else(unknown)?;
    auth::role(hub, &who, &hosted.repo.name, needed).await?;
    let query = Query::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let query = query.map_err(|error| Refused::bad_request(error.to_string()))?;
    let gateway = hub.gateway(&hosted).await;
    let target = gateway.target(&uuid).ok_or_else(unknown)?;
    let gateway = if query.bypass.is_empty() { gateway } else { gateway.past(&query.bypass.iter().cloned().collect()) };
    let scope = Scope { traffic: hub.traffic().clone(), who, repo: hosted.repo.name.clone(), door: "http" };
    Ok(Asked { hub: hub.clone(), hosted, gateway, uuid, target, query, scope, headers: parts.headers.clone() })
}

impl Asked {
    async fn call(&self, version: Version, call: Call, body: &mut Body) -> Result<Response, Refused> {
        if call != Call::KeepLocked {
            self.client()?;
        }
        match call {
            Call::CheckPresent => self.check_present().await,
            Call::GetTimestamp => {
                let now = self.gateway.now().await.map_err(Refused::failed)?;
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
        let key = self.key()?;
        let request = self.scope.request(Operation::CheckPresent, key);
        match self.gateway.present(self.target, key).await {
            Ok(present) => {
                request.end(&if present { Outcome::Done(&[]) } else { Outcome::No });
                Ok(json(&serde_json::json!({ "present": present })))
            }
            Err(error) => Err(failed(request, &error)),
        }
    }

    /// Sees to it that the client said who it is, as the protocol wants it to.
    pub(super) fn client(&self) -> Result<(), Refused> {
        self.query.client.as_ref().map(drop).ok_or_else(|| missing("clientuuid"))
    }

    fn key(&self) -> Result<&Key, Refused> {
        self.query.key.as_ref().ok_or_else(|| missing("key"))
    }

    /// Leaves out the UUID that the client asked for: it knows that one from the answer itself.
    fn others(&self, uuids: &[Uuid]) -> Vec<String> {
        let others = uuids.iter().filter(|uuid| **uuid != self.uuid);
        others.map(|uuid| annex_protocol::p2p_http::encode_value(uuid.as_bytes())).collect()
    }
}

fn missing(parameter: &'static str) -> Refused {
    Refused::bad_request(QueryError::Missing(parameter).to_string())
}

/// Ends a request that the gateway could not fulfil.
pub(super) fn failed(request: crate::host::traffic::Request, error: &GatewayError) -> Refused {
    request.end(&Outcome::Failed(&error.to_string()));
    Refused::failed(error)
}

/// Ends a request that got no turn.
pub(super) fn busy(request: crate::host::traffic::Request, busy: &Busy) -> Refused {
    request.end(&Outcome::Failed(&busy.to_string()));
    Refused::busy(busy.to_string())
}
