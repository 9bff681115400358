//! The promises of the port `BlockStore`, run for every adapter.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, reason = "a test may fail loudly")]

use std::sync::Arc;

use keep_store::base::clock::SystemClock;
use keep_store::store::BlockStore;
use keep_store::store::dir::{Create, DirOptions, DirStore};
use keep_store::store::memory::MemoryStore;
use keep_store::store::volumes::{Volume, Volumes};

#[path = "contract/store.rs"]
mod contract;
#[path = "support/moto.rs"]
mod moto;
#[path = "store/s3.rs"]
mod s3;
#[path = "store/volumes.rs"]
mod volumes;

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

#[tokio::test]
async fn memory_keeps_the_promises_of_a_block_store() {
    contract::all(async || Arc::new(MemoryStore::new("memory", 1 << 30, SystemClock::shared())) as Arc<dyn BlockStore>)
        .await;
}

#[tokio::test]
async fn several_volumes_keep_the_promises_of_a_block_store() {
    let volume = |number: usize| Volume {
        uuid: format!("zzzzz-nyw5e-{number:015}"),
        store: Arc::new(MemoryStore::new(format!("memory {number}"), 1 << 30, SystemClock::shared())),
        read_only: false,
        replication: 1,
        classes: ["default".to_owned()].into(),
    };
    contract::all(async || Arc::new(Volumes::new((0..3).map(volume).collect())) as Arc<dyn BlockStore>).await;
}
