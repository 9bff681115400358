//! Nodes that need the program itself: as a special remote that a node drives, and as the cluster behind a node.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "support/cluster.rs"]
mod cluster;
#[path = "../gateway/tests/contract/node.rs"]
mod contract;
#[path = "node/external.rs"]
mod external;
#[path = "node/servers.rs"]
mod servers;
