//! What Arvados clients need of an API server, over HTTP: `/discovery/v1/…` and `/arvados/v1/…`.
//!
//! Source: `docs/spec/keep-collections.md` §4.

use annex_gateway::site::user::Role;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use serde_json::Value;

use super::token;
use crate::arvados::json::ToJson;
use crate::arvados::{Api, ApiError, Asking};
use crate::host::hub::Hub;

mod answer;
mod call;
mod cluster;
mod collections;
mod discovery;
mod groups;
mod links;

use answer::failed;
use call::Call;

/// What one request may have in its body: 128 MiB, as Arvados has it.
const MAX_REQUEST: usize = 128 << 20;

pub(super) fn routes() -> Router<Hub> {
    Router::new()
        .route("/discovery/v1/apis/arvados/v1/rest", get(discovery::document))
        .route("/arvados/v1/{*path}", any(answer_call))
}

async fn answer_call(State(hub): State<Hub>, request: Request) -> Response {
    // Not in the connection's own task: a client that goes away must not stop half way what is being recorded.
    let (running, now) = (hub.shutdown().running.clone(), hub.site().clock().unix_seconds());
    let working = running.spawn(async move {
        let answered = answer(&hub, request).await;
        answered.map_or_else(|error| failed(&error, now), |value| axum::Json(value).into_response())
    });
    let lost = |lost| failed(&ApiError::Failed(format!("answering a request: {lost}")), now);
    let mut response = working.await.unwrap_or_else(lost);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn answer(hub: &Hub, request: Request) -> Result<Value, ApiError> {
    let (parts, body) = request.into_parts();
    let api = hub.api().await?;
    if let Some(answer) = for_everybody(parts.uri.path()) {
        return answer(hub, &api, &Call::without_body(parts)?);
    }
    let token = token::presented(&parts.headers, parts.uri.query());
    // Before the body, which may be large.
    let asking = api.asking(token, Role::Read).await?;
    let _room = hub.room_for(call::size(&parts.headers)).await;
    let call = Call::read(parts, body).await?;
    dispatch(hub, &api, &asking, &call).await
}

/// Answers what needs no token.
type Open = fn(&Hub, &Api, &Call) -> Result<Value, ApiError>;

/// Returns what answers questions that everybody may ask. No body is read of those.
///
/// Keepstores and keepproxies look for keep services with no token, or with one that means nothing.
fn for_everybody(path: &str) -> Option<Open> {
    match path.trim_end_matches('/') {
        "/arvados/v1/config" => Some(|hub, api, call| Ok(cluster::config(hub, api, call))),
        "/arvados/v1/keep_services/accessible" => Some(cluster::keep_services),
        _ => None,
    }
}

async fn dispatch(hub: &Hub, api: &Api, asking: &Asking, call: &Call) -> Result<Value, ApiError> {
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    match (&call.method, path.as_slice()) {
        (_, ["collections", rest @ ..]) => collections::answer(api, asking, call, rest).await,
        (_, ["groups", rest @ ..]) => groups::answer(api, asking, call, rest).await,
        (_, ["links", rest @ ..]) => links::answer(api, asking, call, rest).await,
        (&Method::GET, ["keep_services"]) => cluster::keep_services(hub, api, call),
        (&Method::GET, ["users", "current"]) => {
            let user = api.user(asking, &asking.viewer.user).await?;
            Ok(call.select()?.apply(api.user_json(&user)))
        }
        (&Method::GET, ["users", uuid]) => {
            let user = api.user(asking, uuid).await?;
            Ok(call.select()?.apply(api.user_json(&user)))
        }
        (&Method::GET, ["api_client_authorizations", "current"]) => Ok(call.select()?.apply(api.token_json(asking))),
        _ => Err(call.unknown()),
    }
}

/// Refuses who may not do as much on the whole site.
fn need(asking: &Asking, needed: Role) -> Result<(), ApiError> {
    let owner = &asking.holder.owner;
    if owner.role >= needed {
        return Ok(());
    }
    let (user, role) = (&owner.token.user, owner.role);
    Err(ApiError::Forbidden(format!(
        "Permission denied: {user} may not do that: the role is {role}, and {needed} is needed; an admin of this site can \
         allow it"
    )))
}

/// Returns a page of a list of records that are the same for all who may see them.
async fn list<R: ToJson>(api: &Api, asking: &Asking, call: &Call) -> Result<Value, ApiError> {
    let (list, select) = (call.list()?, call.select()?);
    let page = api.list::<R>(asking, &list).await?;
    let items: Vec<Value> = page.items.iter().map(|record| select.apply(record.members(api.now()))).collect();
    Ok(answer::page(R::TABLE.kind, &items, &list, page.available))
}
