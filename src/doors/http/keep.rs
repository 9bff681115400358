//! Keep's own protocol, as a keepstore speaks it.
//!
//! Beyond a keepstore's: nothing is stored without a token, HEAD reads no content, `X-Keep-Desired-Replicas` is
//! obeyed, and POST takes a block whose name the client does not know. Source: `docs/spec/keep-blocks.md` §3.

use annex_gateway::gateway::{ErrorKind, HasKind};
use annex_gateway::site::RepoName;
use annex_gateway::site::user::Role;
use annex_protocol::keep::{BlockHash, BlockRequest, KeepCall};
use annex_protocol::key::Key;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use keep_store::service::UploadError;
use keep_store::store::StoreError;

use super::body::BodyError;
use super::git;
use super::reply::Refused;
use super::token;
use crate::arvados::keep::{Denied, Holder, SiteKeep};
use crate::host::caller::Who;
use crate::host::hub::Hub;
use crate::host::traffic::{self, Operation, Scope};

mod admin;
mod get;
mod headers;
mod put;

/// What keepstores call themselves in logs and metrics here.
const DOOR: &str = "keep";

/// Returns what answers at `/`, where blocks are stored whose names are not known.
pub(super) fn routes() -> Router<Hub> {
    Router::new().route("/", post(answer_all))
}

/// Returns what answers at a port where nothing but Keep is served.
pub(super) fn alone(hub: Hub) -> Router {
    Router::new().fallback(answer_all).with_state(hub)
}

/// Answers at addresses of Keep, and passes others on to git.
pub(super) async fn or_git(State(hub): State<Hub>, request: Request) -> Response {
    match KeepCall::parse(request.uri().path().as_bytes()).is_some() {
        true => answer_all(State(hub), request).await,
        false => git::answer(State(hub), request).await,
    }
}

async fn answer_all(State(hub): State<Hub>, request: Request) -> Response {
    // Not in the connection's own task: a client that goes away must not stop half way what is being stored.
    let running = hub.shutdown().running.clone();
    let working = running.spawn(async move {
        let (parts, body) = request.into_parts();
        let answered = answer(&hub, &parts, body).await;
        headers::cross_origin(answered.unwrap_or_else(IntoResponse::into_response))
    });
    working.await.unwrap_or_else(|lost| Refused::failed(format!("answering a request: {lost}")).into_response())
}

/// A request, and what answers it.
struct KeepRequest<'a> {
    hub: &'a Hub,
    parts: &'a Parts,
    keep: SiteKeep,
}

async fn answer(hub: &Hub, parts: &Parts, body: Body) -> Result<Response, Refused> {
    if parts.method == Method::OPTIONS {
        return Ok(StatusCode::OK.into_response());
    }
    let path = parts.uri.path();
    let asked = KeepRequest { hub, parts, keep: keep(hub).await? };
    let nothing = || Refused::bad_request("Bad Request");
    if path == "/" && parts.method == Method::POST {
        return put::answer(&asked, None, body).await;
    }
    let call = KeepCall::parse(path.as_bytes()).ok_or_else(nothing)?;
    match (call, parts.method.as_str()) {
        (KeepCall::Block(text), "GET" | "HEAD") => get::answer(&asked, text, parts.method == Method::HEAD).await,
        // A client that is told to go elsewhere would come back with GET.
        (KeepCall::Block(text), "PUT") if !path.starts_with("//") => {
            put::answer(&asked, Some(block(text)?.hash), body).await
        }
        (KeepCall::Block(_), "PUT" | "POST") => Err(nothing()),
        (call, _) => admin::answer(&asked, call, body).await,
    }
}

async fn keep(hub: &Hub) -> Result<SiteKeep, Refused> {
    hub.keep().await.map_err(Refused::of)
}

fn block(text: &[u8]) -> Result<BlockRequest, Refused> {
    BlockRequest::parse(text).map_err(|error| Refused::bad_request(error.to_string()))
}

impl KeepRequest<'_> {
    /// Finds out who asks, and whether that is enough.
    async fn holder(&self, needed: Role) -> Result<Holder, Refused> {
        let presented = token::presented(&self.parts.headers, self.parts.uri.query());
        self.keep.holder(presented, needed).await.map_err(|denied| match denied {
            Denied::Missing | Denied::Unknown => refused(StatusCode::UNAUTHORIZED, denied),
            Denied::Role { .. } => Refused::forbidden(denied.to_string()),
            Denied::Site(error) => Refused::of(error),
        })
    }

    /// Begins a transfer: counted, logged and limited as those of keys are, under the key that a block would be.
    async fn transfer(
        &self,
        holder: &Holder,
        operation: Operation,
        block: (Option<BlockHash>, Option<u64>),
    ) -> Result<traffic::Request, Refused> {
        let (hash, size) = block;
        let size = size.map(|size| format!("-s{size}")).unwrap_or_default();
        let hash = hash.map_or_else(|| "unknown".to_owned(), |hash| hash.to_string());
        let key = Key::parse(format!("MD5{size}--{hash}").as_bytes()).map_err(Refused::failed)?;
        let repo = RepoName::parse(DOOR.as_bytes()).map_err(Refused::failed)?;
        let who = Who::User(holder.owner.token.user.clone());
        let scope = Scope { traffic: self.hub.traffic().clone(), who, repo, door: DOOR };
        let mut request = scope.request(operation, &key);
        match request.turn().await {
            Ok(()) => Ok(request),
            Err(busy) => {
                request.fail(&busy);
                Err(Refused::of(busy))
            }
        }
    }
}

/// A plain refusal with a status of Keep's own.
fn refused(status: StatusCode, text: impl std::fmt::Display) -> Refused {
    Refused::new(status, text.to_string())
}

/// Returns the answer to an error of the stores.
fn failed(error: &StoreError) -> Refused {
    // Collisions are called that by keepstores, and clients show it.
    match error {
        StoreError::Collision { .. } => Refused::of_kind(error.kind(), format!("hash collision: {error}")),
        error => Refused::of(error),
    }
}

/// Why a block that came was not stored.
#[derive(Debug, thiserror::Error)]
enum BlockError {
    /// The client did not send all of it.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// It could not be stored.
    #[error(transparent)]
    Upload(#[from] UploadError),
}

impl HasKind for BlockError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Body(broken) => broken.kind(),
            Self::Upload(error) => error.kind(),
        }
    }
}

/// Returns the answer to an upload that failed.
fn not_stored(error: &BlockError) -> Refused {
    match error {
        BlockError::Upload(UploadError::Store(error)) => failed(error),
        error => Refused::of(error),
    }
}
