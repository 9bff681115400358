//! The promises of the port `Node`, run for every adapter, and what single kinds have to stand.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

use std::sync::{Arc, Mutex};

use annex_keep::keep::{Create, KeepStore, Options};
use annex_keep::node::Node;
use annex_keep::node::keep::KeepNode;
use annex_protocol::uuid::Uuid;

#[path = "contract/node.rs"]
mod contract;
#[path = "node/external.rs"]
mod external;

const UUID: &str = "0aaa1111-2222-3333-4444-555566667777";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keep_store_keeps_the_promises_of_a_node() {
    let dirs: Mutex<Vec<tempfile::TempDir>> = Mutex::default();
    contract::all(async || {
        let dir = tempfile::tempdir().unwrap();
        let store = KeepStore::open(dir.path(), Create::IfMissing, Options::default()).await.unwrap();
        dirs.lock().unwrap().push(dir);
        Arc::new(KeepNode::new(store, Uuid::parse(UUID.as_bytes()).unwrap())) as Arc<dyn Node>
    })
    .await;
}
