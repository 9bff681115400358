//! Garbage collection, and references to blocks that are there already.

use std::sync::atomic::{AtomicBool, Ordering};

use annex_protocol::keep::BlockHash;
use keep_store::store::Block;

use super::*;

const COLLECTIONS: &[u8] = b"collections";
const NEVER: Block = Block { hash: BlockHash::EMPTY, size: 1 };

/// Puts a block in the store that no entry knows of, as a Keep client does.
async fn block(store: &KeepStore, content: &[u8]) -> Block {
    let block = Block { hash: BlockHash::of(content), size: content.len() as u32 };
    let mut writer = store.blocks().writer().await.unwrap();
    writer.write(Bytes::copy_from_slice(content)).await.unwrap();
    writer.finish(block, None).await.unwrap();
    block
}

async fn is_there(store: &KeepStore, block: Block) -> bool {
    store.blocks().missing(&[block]).await.unwrap().is_empty()
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn only_old_blocks_that_nothing_refers_to_are_garbage() {
    let fixture = Fixture::new().await;
    let (store, dir, clock) = (&fixture.store, &fixture.dir, &fixture.clock);
    let entry = put(store, OWNER, b"key", &noise(2500, 1)).await;
    let garbage = block(store, b"garbage").await;
    let leased = block(store, b"leased").await;
    let ended = block(store, b"ended").await;
    assert!(store.lease(&[leased], clock.wall() + 2 * HOUR).await.unwrap().is_empty());
    assert!(store.lease(&[ended], clock.wall() + HOUR).await.unwrap().is_empty());
    clock.advance(HOUR);
    let mut suspended = store.write(OWNER, b"unfinished").await.unwrap();
    push(&mut suspended, &noise(1500, 2)).await;
    suspended.suspend().await.unwrap();

    let young = store.collect(2 * HOUR).await.unwrap();
    assert_eq!((young.trashed, young.deleted), (0, 0));
    let done = store.collect(Duration::ZERO).await.unwrap();
    assert_eq!((done.trashed, done.trashed_bytes, done.deleted), (2, 12, 0));
    assert!(!is_there(store, garbage).await && !is_there(store, ended).await && is_there(store, leased).await);
    assert_eq!(store.write(OWNER, b"unfinished").await.unwrap().offset(), 1500);
    for block in entry.blocks.iter().chain([&entry.manifest]) {
        assert!(is_there(store, *block).await);
    }
    // A lease that is renewed ends at the later time.
    store.lease(&[leased], clock.wall()).await.unwrap();
    assert_eq!(store.collect(Duration::ZERO).await.unwrap().trashed, 0);
    assert_eq!(files(dir.path(), |name| name.contains(".trash.")).len(), 2);
    // What is in the trash comes back for who needs it.
    assert_eq!(store.lease(&[garbage, NEVER], clock.wall() + HOUR).await.unwrap(), [NEVER]);
    assert!(is_there(store, garbage).await);
    clock.advance(HOUR);
    let done = store.collect(Duration::ZERO).await.unwrap();
    assert_eq!(done.trashed, 2, "both leases have ended");
}

#[tokio::test]
async fn a_collection_keeps_blocks_as_long_as_it_refers_to_them() {
    let fixture = Fixture::with(Options { trash_lifetime: Duration::ZERO, ..small_blocks() }).await;
    let store = &fixture.store;
    let (one, two, three) = (block(store, b"one").await, block(store, b"two").await, block(store, b"three").await);
    assert_eq!(store.refer(COLLECTIONS, b"c", &[one, NEVER, two, one, Block::EMPTY]).await.unwrap(), [NEVER]);
    assert_eq!(store.entry(COLLECTIONS, b"c").await.unwrap().unwrap().blocks, [one, two]);
    assert_eq!(store.collect(Duration::ZERO).await.unwrap().deleted, 1);
    assert!(is_there(store, one).await && is_there(store, two).await && !is_there(store, three).await);
    // The index can be made anew from what is in the store.
    std::fs::remove_file(fixture.dir.path().join(".annex-keep/index.db")).unwrap();
    let again = KeepStore::open_for_reindex(fixture.dir.path(), small_blocks()).await.unwrap();
    assert_eq!(again.reindex(false).await.unwrap().entries, 1);
    assert_eq!(again.entry(COLLECTIONS, b"c").await.unwrap().unwrap().blocks, [one, two]);

    let fixture = Fixture::with(Options { trash_lifetime: Duration::ZERO, ..small_blocks() }).await;
    let store = &fixture.store;
    let (one, two) = (block(store, b"one").await, block(store, b"two").await);
    store.refer(COLLECTIONS, b"c", &[one, two]).await.unwrap();
    store.refer(COLLECTIONS, b"c", &[two]).await.unwrap();
    assert!(is_there(store, one).await, "it may be read until it is collected");
    assert_eq!(fixture.blocks().len(), 3, "and the manifest of the two is gone at once");
    store.collect(Duration::ZERO).await.unwrap();
    assert!(!is_there(store, one).await && is_there(store, two).await);
    assert_eq!(store.refer(COLLECTIONS, b"c", &[one]).await.unwrap(), [one], "it is gone");
    assert!(store.entry(COLLECTIONS, b"c").await.unwrap().is_none());
    store.collect(Duration::ZERO).await.unwrap();
    assert!(fixture.blocks().is_empty() && fixture.trash().is_empty());
}

#[tokio::test]
async fn a_removal_takes_no_block_along_that_a_client_was_promised() {
    let fixture = Fixture::with(Options { trash_lifetime: Duration::ZERO, ..small_blocks() }).await;
    let content = noise(1000, 1);
    let entry = fixture.put(b"key", &content).await;
    assert_eq!(block(&fixture.store, &content).await, entry.blocks[0]);
    fixture.store.lease(&entry.blocks, fixture.clock.wall() + HOUR).await.unwrap();
    fixture.store.remove(OWNER, b"key").await.unwrap();
    assert!(is_there(&fixture.store, entry.blocks[0]).await);
}

/// Garbage is collected without a pause and deleted at once, while others store, refer to, lease and remove the same blocks.
/// Whatever was promised to be there must be.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_block_is_lost_to_garbage_collection_beside_uploads() {
    let rounds: u64 = std::env::var("ANNEX_KEEP_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(25);
    let fixture = Fixture::with(Options { trash_lifetime: Duration::ZERO, ..small_blocks() }).await;
    let store = fixture.store.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let collecting = tokio::spawn({
        let (store, stop) = (store.clone(), Arc::clone(&stop));
        async move {
            let mut deleted = 0;
            while !stop.load(Ordering::Relaxed) {
                deleted += store.collect(Duration::ZERO).await.unwrap().deleted;
            }
            deleted
        }
    });
    let workers = (0..3_u64).map(|worker| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut kept = 0;
            for round in 0..rounds {
                kept += one_round(&store, worker, round).await;
            }
            kept
        })
    });
    let mut kept = 0;
    for worker in workers.collect::<Vec<_>>() {
        kept += worker.await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let beside = collecting.await.unwrap();
    // What the last rounds left, if the workers were too quick for the collector.
    let behind = store.collect(Duration::ZERO).await.unwrap().deleted;
    assert!(beside + behind > 0, "there was garbage");
    assert!(kept > rounds, "promises were made: {kept}");
}

/// Stores a content that all workers store in this round; returns how many promises were made and kept.
async fn one_round(store: &KeepStore, worker: u64, round: u64) -> u64 {
    let content = noise(3000, round);
    let name = format!("{worker}").into_bytes();
    // Garbage from the start.
    block(store, &noise(500, 1_000_000 + 1000 * worker + round)).await;
    let mut kept = 0;
    let mut upload = store.write(OWNER, &name).await.unwrap();
    // What is left of a round that was not stored is of another content.
    upload.restart().await.unwrap();
    push(&mut upload, &content).await;
    let entry = match upload.commit().await {
        Ok(entry) => entry,
        // Not stored, and said so.
        Err(KeepError::Store(StoreError::Gone { .. })) => return 0,
        Err(error) => panic!("{error}"),
    };
    let read = async || {
        let read = store.read(OWNER, &name, 0).await.unwrap().expect("the entry is there");
        assert!(super::collect(read).await.unwrap() == content, "the entry is whole");
    };
    read().await;
    assert!(store.refer(COLLECTIONS, &name, &entry.blocks).await.unwrap().is_empty());
    kept += 2;
    store.remove(OWNER, &name).await.unwrap();
    for (block, part) in entry.blocks.iter().zip(content.chunks(1000)) {
        assert!(held(store, *block).await == part, "the collection keeps it");
    }
    if round.is_multiple_of(2) {
        assert!(store.lease(&entry.blocks, SystemTime::now() + HOUR).await.unwrap().is_empty());
        store.remove(COLLECTIONS, &name).await.unwrap();
        for (block, part) in entry.blocks.iter().zip(content.chunks(1000)) {
            assert!(held(store, *block).await == part, "the lease keeps it");
        }
        kept += 1;
    } else {
        store.remove(COLLECTIONS, &name).await.unwrap();
    }
    kept
}

/// Reads a block that is promised to be there; it may just be on its way back from the trash.
async fn held(store: &KeepStore, block: Block) -> Vec<u8> {
    for _ in 0..100 {
        if let Some(stream) = store.blocks().read(block, 0, 0).await.unwrap() {
            return stream.try_collect::<Vec<Bytes>>().await.unwrap().concat();
        }
        store.revive(block.hash).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{block} is lost");
}
