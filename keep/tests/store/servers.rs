//! The promises of block stores that hold on servers: they list nothing, remove nothing, and tell less of what is wrong.

use std::time::Duration;

use keep_store::entries::{KeepStore, Options};
use keep_store::store::dir::Create;
use keep_store::store::servers::{Access, Http, ServerOptions, ServerStore, Services};
use keep_store::store::{Inventory, Retention, StoreParts};

use crate::contract::{self, Tried};
use crate::keepstore;

async fn store() -> ServerStore {
    let options = ServerOptions {
        replicas: Some(1),
        retries: 1,
        pause: Duration::from_millis(1),
        trusted: Duration::ZERO,
        cache: 0,
        ..ServerOptions::default()
    };
    let address = keepstore::serve().await;
    ServerStore::new(Http::new(&Access::default()).await.unwrap(), Services::given([address.as_str()]), options)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_keep_what_they_promise_of_a_block_store() {
    contract::blocks(async || {
        let clock = contract::clock();
        Tried { exact: false, ..Tried::new(store().await.into(), &clock, ()) }
    })
    .await;
}

/// The store that a Keep store makes of servers: it notes signatures in its index.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_with_an_index_keep_what_they_promise_of_a_block_store() {
    contract::blocks(async || {
        let (dir, clock, servers) = (tempfile::tempdir().unwrap(), contract::clock(), store().await);
        let options = Options { clock: clock.clone(), ..Options::default() };
        let opened = KeepStore::open_servers(servers.clone(), dir.path(), Create::IfMissing, options).await.unwrap();
        let parts = StoreParts { blocks: opened.blocks().clone(), ..servers.into() };
        Tried { exact: false, ..Tried::new(parts, &clock, (dir, opened)) }
    })
    .await;
}

#[tokio::test]
async fn servers_neither_list_blocks_nor_remove_them() {
    let (store, block) = (store().await, keep_store::store::Block::EMPTY);
    let now = std::time::SystemTime::now();
    for refused in [
        store.list("").await.map(drop).unwrap_err(),
        store.stat(block.hash).await.map(drop).unwrap_err(),
        store.touch(block.hash).await.map(drop).unwrap_err(),
    ] {
        assert!(refused.to_string().contains("not ours to"), "{refused}");
    }
    assert!(!store.trash(block.hash, now, None).await.unwrap());
    assert!(!store.untrash(block.hash).await.unwrap());
    assert!(store.condemn(block.hash, now).await.unwrap().is_empty());
    assert!(store.space().await.unwrap().is_endless());
}
