//! The gateway over nodes in memory: what it tells its clients is held against what the nodes have.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "gateway/client.rs"]
mod client;
#[path = "gateway/clock.rs"]
mod clock;
#[path = "gateway/copies.rs"]
mod copies;
#[path = "gateway/ground.rs"]
mod ground;
#[path = "gateway/house.rs"]
mod house;
#[path = "gateway/locks.rs"]
mod locks;
#[path = "gateway/uploads.rs"]
mod uploads;
