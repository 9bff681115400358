//! The promises of the port `Node`, run for adapters whose peers are real programs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;

use annex_keep::keep::{Create, KeepStore, Options};
use annex_keep::node::keep::KeepNode;
use annex_protocol::uuid::Uuid;

#[path = "contract/node.rs"]
mod contract;
#[path = "node/p2p.rs"]
mod p2p;
#[path = "node/peer.rs"]
mod peer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keep_store_keeps_the_promises_of_a_node() {
    let dirs: std::sync::Mutex<Vec<tempfile::TempDir>> = std::sync::Mutex::default();
    contract::suite(contract::Allow::default(), async || {
        let dir = tempfile::tempdir().unwrap();
        let store = KeepStore::open(dir.path(), Create::IfMissing, Options::default()).await.unwrap();
        dirs.lock().unwrap().push(dir);
        Arc::new(KeepNode::new(store, Uuid::parse(b"a-node").unwrap())) as contract::AnyNode
    })
    .await;
}
