//! How the site is, for admins, for Prometheus, for a load balancer; and a page for people.
//!
//! `/-/status` names users, repositories and keys: it is for the site's admins. `/-/metrics` names nodes only: it is for
//! every user who proves to be one, so that a scraper needs an account but no role anywhere. `/-/healthz` is for everybody.

use annex_gateway::site::user::Role;
use annex_gateway::site::{Site, SiteError};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use keep_store::base::task::blocking;

use super::auth;
use super::reply::Refused;
use crate::host::caller::Who;
use crate::host::hub::Hub;
use crate::host::metrics;
use crate::host::status::status;

pub(super) fn routes() -> Router<Hub> {
    Router::new()
        .route("/", get(page))
        .route("/-/healthz", get(health))
        .route("/-/status", get(tell_status))
        .route("/-/metrics", get(tell_metrics))
}

/// Tells whether new work is taken.
async fn health(State(hub): State<Hub>) -> impl IntoResponse {
    let (code, text) = match hub.shutdown().drain.is_cancelled() {
        false => (StatusCode::OK, "ok\n"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "ending\n"),
    };
    (code, [(header::CACHE_CONTROL, "no-store")], text)
}

async fn tell_status(State(hub): State<Hub>, headers: HeaderMap) -> Result<Response, Refused> {
    let who = named(&hub, &headers).await?;
    let (site, asking) = (hub.site(), who.clone());
    if !blocking(move || is_admin(&site, &asking)).await.map_err(Refused::of)? {
        return Err(Refused::forbidden(format!("{who} may not see the status: it is for admins of this site")));
    }
    let status = status(&hub, true).await.map_err(Refused::of)?;
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(status)).into_response())
}

async fn tell_metrics(State(hub): State<Hub>, headers: HeaderMap) -> Result<Response, Refused> {
    named(&hub, &headers).await?;
    metrics(&hub).await
}

/// Answers with what is counted.
pub(super) async fn metrics(hub: &Hub) -> Result<Response, Refused> {
    let status = status(hub, true).await.map_err(Refused::of)?;
    let text = metrics::render(hub.traffic().counters(), hub.meters(), &status).map_err(Refused::failed)?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

/// Returns who asks, unless that is somebody without a name.
async fn named(hub: &Hub, headers: &HeaderMap) -> Result<Who, Refused> {
    match auth::who(hub, headers).await? {
        Who::Anonymous => Err(Refused::unauthorized("a name and a password are needed")),
        who => Ok(who),
    }
}

fn is_admin(site: &Site, who: &Who) -> Result<bool, SiteError> {
    Ok(match who {
        Who::Owner => true,
        Who::User(name) => site.users()?.iter().any(|user| user.name == *name && user.role == Role::Admin),
        Who::Anonymous => false,
    })
}

/// Names the repositories that the visitor may read.
async fn page(State(hub): State<Hub>, headers: HeaderMap) -> Result<Response, Refused> {
    let who = auth::who(&hub, &headers).await?;
    let (site, asking) = (hub.site(), who.clone());
    let names = blocking(move || {
        let mut readable = Vec::new();
        for name in site.repos()? {
            if asking.role(&site, &name)? >= Role::Read {
                readable.push(name.to_string());
            }
        }
        Ok::<_, SiteError>(readable)
    });
    let names = names.await.map_err(Refused::of)?;
    let items: String = names.iter().map(|name| format!("<li><code>{}</code>\n", escaped(name))).collect();
    let list = match names.is_empty() {
        false => format!(
            "<p>You may read:\n<ul>\n{items}</ul>\n<p><code>git clone</code> this address with a name after it.\n"
        ),
        true => "<p>There is nothing that you may read here without another name.\n".to_owned(),
    };
    let hello = match &who {
        Who::User(name) => format!("<p>Hello {}!\n", escaped(name)),
        Who::Owner | Who::Anonymous => String::new(),
    };
    let text = format!(
        "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n<title>annex-keep</title>\n<h1>annex-keep</h1>\n\
         <p>git and git-annex repositories.\n{hello}{list}"
    );
    Ok(([(header::CACHE_CONTROL, "no-store")], Html(text)).into_response())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
