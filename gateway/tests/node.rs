//! The promises of the port `Node`, run for every adapter that needs no program of ours, and what single kinds stand.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "contract/node.rs"]
mod contract;
#[path = "node/local.rs"]
mod local;
#[path = "node/memory.rs"]
mod memory;
#[path = "../../keep/tests/support/moto.rs"]
mod moto;
#[path = "node/p2p.rs"]
mod p2p;
#[path = "node/peer.rs"]
mod peer;
#[path = "node/s3.rs"]
mod s3;
#[path = "node/short.rs"]
mod short;
