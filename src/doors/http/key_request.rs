//! A request about a key, as far as all of them are alike: who asks, of which repository, in which words.

use annex_gateway::site::user::Role;
use annex_protocol::key::Key;
use annex_protocol::p2p_http::{Query, QueryError, encode_value};
use annex_protocol::uuid::Uuid;
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::auth;
use super::reply::Refused;
use crate::host::access::{Access, Commits};
use crate::host::hub::Hub;
use crate::host::traffic::Scope;

/// A request that was understood, from somebody who may make it.
pub(super) struct KeyRequest {
    pub(super) hub: Hub,
    pub(super) access: Access,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
}

impl KeyRequest {
    /// Finds the repository with a UUID, and finds out whether whoever asks has the role that is needed there.
    pub(super) async fn understand(hub: &Hub, uuid: Uuid, needed: Role, parts: &Parts) -> Result<Self, Refused> {
        let who = auth::who(hub, &parts.headers).await?;
        let unknown = || Refused::not_found(format!("no repository here has the UUID {uuid}"));
        let hosted = hub.find(&uuid).await.map_err(Refused::of)?.ok_or_else(unknown)?;
        auth::role(hub, &who, &hosted.repo.name, needed).await?;
        let query = Query::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let query = query.map_err(|error| Refused::bad_request(error.to_string()))?;
        let gateway = hub.gateway(&hosted).await;
        let target = gateway.target(&uuid).ok_or_else(unknown)?;
        let gateway =
            if query.bypass.is_empty() { gateway } else { gateway.past(&query.bypass.iter().cloned().collect()) };
        let scope = Scope { traffic: hub.traffic().clone(), who, repo: hosted.repo.name.clone(), door: "http" };
        let access = Access { gateway, uuid, target, scope, commits: Commits::Soon(hub.clone(), hosted) };
        Ok(Self { hub: hub.clone(), access, query, headers: parts.headers.clone() })
    }

    /// Sees to it that the client said who it is, as the protocol wants it to.
    pub(super) fn client(&self) -> Result<(), Refused> {
        self.query.client.as_ref().map(drop).ok_or_else(|| missing("clientuuid"))
    }

    /// Returns the key that the query names.
    pub(super) fn key(&self) -> Result<&Key, Refused> {
        self.query.key.as_ref().ok_or_else(|| missing("key"))
    }

    /// Returns UUIDs as they stand in answers, without the one that the client asked for.
    pub(super) fn others(&self, uuids: Vec<Uuid>) -> Vec<String> {
        self.access.others(uuids).iter().map(|uuid| encode_value(uuid.as_bytes())).collect()
    }
}

/// Refuses a request that lacks a parameter.
pub(super) fn missing(parameter: &'static str) -> Refused {
    Refused::bad_request(QueryError::Missing(parameter).to_string())
}
