//! The HTTP door: git, P2P over HTTP and plain downloads of keys on one port.
//!
//! Source: spec `p2p-http.md`; design `interface.md`, "Addresses on the HTTP port".

use axum::Router;

use super::hub::Hub;

mod admin;
mod auth;
mod config;
mod download;
mod git;
mod key;
mod listen;
mod p2p;
mod prefix;
mod range;
mod reply;
mod tls;

pub use listen::{Door, Listener, inherited};

/// Returns what answers at each address.
pub fn routes(hub: Hub) -> Router {
    let routes =
        Router::new().merge(admin::routes()).merge(p2p::routes()).fallback(git::answer).with_state(hub.clone());
    prefix::taken_off(hub, routes)
}
