//! The HTTP door: git, P2P over HTTP, plain downloads of keys, and Keep, on one port.
//!
//! Source: `docs/spec/p2p-http.md`.

use axum::Router;

use crate::host::hub::Hub;

mod admin;
mod arvados;
mod auth;
mod body;
mod config;
mod download;
mod git;
mod keep;
mod key;
mod key_request;
mod listen;
mod p2p;
mod prefix;
mod range;
mod reply;
mod tls;
mod token;

pub use listen::{Door, Listener, inherited};

/// Returns what answers at each address.
pub fn routes(hub: Hub) -> Router {
    let routes = Router::new()
        .merge(admin::routes())
        .merge(p2p::routes())
        .merge(arvados::routes())
        .merge(keep::routes())
        .fallback(keep::or_git)
        .with_state(hub.clone());
    prefix::taken_off(hub, routes)
}

/// Returns what answers where nothing but Keep is served.
fn keep_routes(hub: Hub) -> Router {
    prefix::taken_off(hub.clone(), keep::alone(hub))
}
