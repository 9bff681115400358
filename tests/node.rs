//! The promises of the port `Node`, run for every adapter, and what single kinds have to stand.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "support/cluster.rs"]
mod cluster;
#[path = "contract/node.rs"]
mod contract;
#[path = "node/external.rs"]
mod external;
#[path = "node/local.rs"]
mod local;
#[path = "support/moto.rs"]
mod moto;
#[path = "node/p2p.rs"]
mod p2p;
#[path = "node/peer.rs"]
mod peer;
#[path = "node/s3.rs"]
mod s3;
#[path = "node/servers.rs"]
mod servers;
