//! The gateway over nodes in memory: what it tells its clients is held against what the nodes have.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "gateway/client.rs"]
mod client;
#[path = "gateway/clock.rs"]
mod clock;
#[path = "gateway/copies.rs"]
mod copies;
#[path = "gateway/ending.rs"]
mod ending;
#[path = "gateway/ground.rs"]
mod ground;
#[path = "gateway/house.rs"]
mod house;
#[path = "gateway/judge.rs"]
mod judge;
#[path = "gateway/known.rs"]
mod known;
#[path = "gateway/ledger.rs"]
mod ledger;
#[path = "gateway/locks.rs"]
mod locks;
#[path = "gateway/matrix.rs"]
mod matrix;
#[path = "gateway/op.rs"]
mod op;
#[path = "gateway/room.rs"]
mod room;
#[path = "gateway/rules.rs"]
mod rules;
#[path = "gateway/run.rs"]
mod run;
#[path = "gateway/stories.rs"]
mod stories;
#[path = "gateway/upkeep.rs"]
mod upkeep;
#[path = "gateway/uploads.rs"]
mod uploads;
