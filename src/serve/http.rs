//! The HTTP door: git, P2P over HTTP and plain downloads of keys on one port.
//!
//! Source: spec `p2p-http.md`; design `interface.md`, "Addresses on the HTTP port".

use axum::Router;
use axum::response::IntoResponse;

use super::hub::Hub;

mod auth;
mod download;
mod key;
mod listen;
mod p2p;
mod range;
mod reply;

pub use listen::{Listener, serve};

/// Returns what answers at each address.
pub fn routes(hub: Hub) -> Router {
    Router::new().merge(p2p::routes()).fallback(nothing_here).with_state(hub)
}

async fn nothing_here() -> impl IntoResponse {
    reply::Refused::not_found("nothing is at this address")
}
