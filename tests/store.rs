//! The promises of the port `BlockStore`, run for every adapter.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, reason = "a test may fail loudly")]

use std::sync::Arc;

use annex_keep::store::BlockStore;
use annex_keep::store::dir::{Create, DirOptions, DirStore};

#[path = "contract/store.rs"]
mod contract;
#[path = "support/moto.rs"]
mod moto;
#[path = "store/s3.rs"]
mod s3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_keeps_the_promises_of_a_block_store() {
    let dirs: std::sync::Mutex<Vec<tempfile::TempDir>> = std::sync::Mutex::default();
    contract::all(async || {
        let dir = tempfile::tempdir().unwrap();
        let store = DirStore::open(dir.path(), Create::IfMissing, DirOptions::default()).await.unwrap();
        dirs.lock().unwrap().push(dir);
        Arc::new(store) as Arc<dyn BlockStore>
    })
    .await;
}
