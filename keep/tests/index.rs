//! The promises of indexes, run for every adapter.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use keep_store::base::clock::ManualClock;
use keep_store::index::IndexParts;
use keep_store::index::nothing::NoIndex;
use keep_store::index::sqlite::{Mode, SqliteIndex};
use keep_store::store::Block;

#[path = "contract/index.rs"]
mod contract;

use contract::Tried;

async fn open(dir: &Path, mode: Mode, clock: &Arc<ManualClock>) -> Arc<SqliteIndex> {
    Arc::new(SqliteIndex::open(&dir.join("index.db"), mode, clock.clone()).await.unwrap())
}

async fn sqlite(as_parts: fn(Arc<SqliteIndex>) -> IndexParts) -> Tried {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(SystemTime::now()));
    let index = open(dir.path(), Mode::Create, &clock).await;
    let (path, same) = (dir.path().to_path_buf(), Arc::clone(&clock));
    let again: contract::Again = Box::new(move || {
        let (path, clock) = (path.clone(), Arc::clone(&same));
        Box::pin(async move { as_parts(open(&path, Mode::Use, &clock).await) })
    });
    let signatures = Some(Arc::clone(&index) as _);
    Tried { parts: as_parts(index), signatures, clock, again, kept: Box::new(dir) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_promises_of_an_index() {
    contract::all(async || sqlite(IndexParts::from).await).await;
}

/// Entries are recorded elsewhere; only unfinished uploads are remembered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_index_keeps_the_promises_of_the_index_that_remembers_uploads_for_it() {
    contract::uploads(async || sqlite(|uploads| NoIndex::with_uploads(uploads).into()).await).await;
}

#[tokio::test]
async fn no_index_knows_nothing_and_takes_every_block_for_needed() {
    let (index, now) = (IndexParts::from(NoIndex::default()), SystemTime::now());
    assert!(index.holding.is_none() && index.here.is_none());
    let (index, block) = (index.index, Block { hash: [1; 16].into(), size: 1 });
    let entry = keep_store::index::Entry {
        owner: b"o".to_vec(),
        name: b"n".to_vec(),
        size: 1,
        manifest: Block::EMPTY,
        blocks: vec![block],
        stored: now,
    };
    assert!(index.put(entry, now).await.unwrap().is_empty());
    assert_eq!(index.entry(b"o", b"n").await.unwrap(), None);
    assert_eq!(index.remove(b"o", b"n", now).await.unwrap(), None);
    assert!(index.list(None, None, 10).await.unwrap().is_empty());
    assert!(index.entries_with(block.hash).await.unwrap().is_empty());
    index.lease(&[block.hash], now).await.unwrap();
    index.forget_leases(now + Duration::from_secs(1)).await.unwrap();
    assert_eq!(index.referenced(&[block.hash]).await.unwrap(), [block.hash]);
    index.record_upload(b"o", b"n", &[block]).await.unwrap();
    assert!(index.upload(b"o", b"n").await.unwrap().is_empty(), "each upload begins anew");
    assert!(index.forget_upload(b"o", b"n", now).await.unwrap().is_empty());
    assert!(index.due(now, 10).await.unwrap().is_empty());
    assert_eq!(index.retain(Box::new(|_| false), now).await.unwrap(), 0);
    assert_eq!(index.totals().await.unwrap(), keep_store::index::Totals::default());
}
