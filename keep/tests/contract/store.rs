//! What every `BlockStore` must do. An adapter calls [`all`] with a way to make an empty store.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use annex_protocol::keep::BlockHash;
use bytes::Bytes;
use futures_util::TryStreamExt;
use keep_store::store::{Block, BlockStore, Listed, Placed, State, StoreError};

type Store = Arc<dyn BlockStore>;

/// Two contents with one MD5.
const COLLISION: [&str; 2] = [
    "4dc968ff0ee35c209572d4777b721587d36fa7b21bdc56b74a3dc0783e7b9518afbfa200a8284bf36e8e4b55b35f427593d849676da0d1555d8360fb5f07fea2",
    "4dc968ff0ee35c209572d4777b721587d36fa7b21bdc56b74a3dc0783e7b9518afbfa202a8284bf36e8e4b55b35f427593d849676da0d1d55d8360fb5f07fea2",
];

/// Tries every promise, each on a store of its own.
pub(crate) async fn all(empty: impl AsyncFn() -> Store) {
    blocks_come_back_verified_from_every_offset(empty().await).await;
    an_absent_block_is_none(empty().await).await;
    a_writer_that_is_dropped_leaves_nothing(empty().await).await;
    equal_blocks_are_one(empty().await).await;
    many_writers_of_one_block_all_succeed(empty().await).await;
    a_collision_is_refused(empty().await).await;
    wrong_claims_change_nothing(empty().await).await;
    missing_tells_absent_and_wrong_sizes(empty().await).await;
    trashed_blocks_come_back_until_deleted(empty().await).await;
    a_block_touched_since_is_not_trashed(empty().await).await;
    a_touch_renews_the_time_and_nothing_else(empty().await).await;
    what_is_not_due_is_not_condemned(empty().await).await;
    a_condemned_copy_can_be_saved(empty().await).await;
    listing_is_whole(empty().await).await;
    space_is_told(empty().await).await;
}

fn bytes(size: usize, seed: u8) -> Vec<u8> {
    (0..size).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3] ^ seed).collect()
}

fn block(content: &[u8]) -> Block {
    Block { hash: BlockHash::of(content), size: content.len() as u32 }
}

async fn put(store: &Store, content: &[u8]) -> Result<Placed, StoreError> {
    let mut writer = store.writer().await.unwrap();
    for part in content.chunks(100_000) {
        writer.write(Bytes::copy_from_slice(part)).await.unwrap();
    }
    writer.finish(block(content), None).await
}

async fn get(store: &Store, block: Block, from: u32) -> Option<Vec<u8>> {
    let stream = store.read(block, from, 0).await.unwrap()?;
    Some(stream.try_collect::<Vec<Bytes>>().await.unwrap().concat())
}

async fn list(store: &Store, prefix: &str) -> Vec<Listed> {
    let mut listed: Vec<Listed> = store.list(prefix).await.unwrap().try_collect().await.unwrap();
    listed.sort_by_key(|listed| listed.hash);
    listed
}

async fn blocks_come_back_verified_from_every_offset(store: Store) {
    for size in [1, 1000, 262_144, 262_145, 3_000_000] {
        let content = bytes(size, 1);
        assert_eq!(put(&store, &content).await.unwrap(), Placed::New);
        for from in [0, 1, size / 2, size - 1, size] {
            for ahead in [0, 1 << 20, 64 << 20] {
                let read = store.read(block(&content), from as u32, ahead).await.unwrap().unwrap();
                let read = read.try_collect::<Vec<Bytes>>().await.unwrap().concat();
                assert!(read == content[from..], "{size} from {from}");
            }
        }
        assert_eq!(store.peek(block(&content).hash, 5).await.unwrap().unwrap(), content[..size.min(5)]);
    }
}

async fn an_absent_block_is_none(store: Store) {
    let absent = block(b"absent");
    assert!(get(&store, absent, 0).await.is_none());
    assert!(store.peek(absent.hash, 10).await.unwrap().is_none());
    assert!(!store.trash(absent.hash, SystemTime::now(), None).await.unwrap());
    assert!(!store.untrash(absent.hash).await.unwrap());
    assert!(store.condemn(absent.hash, SystemTime::now()).await.unwrap().is_empty());
    assert!(list(&store, "").await.is_empty());
}

async fn a_writer_that_is_dropped_leaves_nothing(store: Store) {
    for size in [10, 1_000_000] {
        let mut writer = store.writer().await.unwrap();
        writer.write(bytes(size, 1).into()).await.unwrap();
        drop(writer);
    }
    assert!(list(&store, "").await.is_empty());
}

async fn equal_blocks_are_one(store: Store) {
    for size in [10, 1_000_000] {
        let content = bytes(size, 1);
        assert_eq!(put(&store, &content).await.unwrap(), Placed::New);
        let first = list(&store, "").await;
        let time = |listed: &[Listed]| listed.iter().find(|l| l.hash == block(&content).hash).unwrap().time;
        // Some places count in whole seconds.
        for pause in [20, 1100] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            assert_eq!(put(&store, &content).await.unwrap(), Placed::Existing);
            let second = list(&store, "").await;
            assert_eq!(first.len(), second.len());
            assert!(pause == 20 || time(&second) > time(&first), "it was touched");
            if time(&second) > time(&first) {
                break;
            }
        }
    }
}

async fn many_writers_of_one_block_all_succeed(store: Store) {
    let content = bytes(500_000, 1);
    let writers = (0..16).map(|_| put(&store, &content));
    let placed = futures_util::future::join_all(writers).await;
    assert_eq!(placed.into_iter().filter(|placed| *placed.as_ref().unwrap() == Placed::New).count(), 1);
    assert!(get(&store, block(&content), 0).await.unwrap() == content);
}

async fn a_collision_is_refused(store: Store) {
    let digits = |text: &str| u8::from_str_radix(text, 16).unwrap();
    let [first, second]: [Vec<u8>; 2] =
        COLLISION.map(|text| (0..64).map(|at| digits(&text[2 * at..2 * at + 2])).collect());
    put(&store, &first).await.unwrap();
    let refused = put(&store, &second).await;
    assert!(matches!(refused, Err(StoreError::Collision { .. })), "{refused:?}");
    assert!(get(&store, block(&first), 0).await.unwrap() == first);
}

async fn wrong_claims_change_nothing(store: Store) {
    let content = bytes(1000, 1);
    put(&store, &content).await.unwrap();
    for size in [0, 999, 1001] {
        let claimed = Block { size, ..block(&content) };
        let refused = store.read(claimed, 0, 0).await.map(drop);
        assert!(matches!(refused, Err(StoreError::Size { size: 1000, .. })), "{refused:?}");
    }
    let mut writer = store.writer().await.unwrap();
    writer.write(bytes(10, 2).into()).await.unwrap();
    assert!(writer.finish(Block { size: 11, ..block(&bytes(10, 2)) }, None).await.is_err());
    assert!(get(&store, block(&content), 0).await.unwrap() == content);
    assert_eq!(list(&store, "").await.len(), 1);
}

async fn missing_tells_absent_and_wrong_sizes(store: Store) {
    let here = block(&bytes(1000, 1));
    put(&store, &bytes(1000, 1)).await.unwrap();
    let absent = block(b"absent");
    let wrong = Block { size: 999, ..here };
    assert_eq!(store.missing(&[here, absent, wrong, here]).await.unwrap(), [absent, wrong]);
    assert!(store.missing(&[]).await.unwrap().is_empty());
}

async fn trashed_blocks_come_back_until_deleted(store: Store) {
    let content = bytes(1000, 1);
    let hash = block(&content).hash;
    let deadline = SystemTime::now() + Duration::from_secs(1000);
    put(&store, &content).await.unwrap();
    assert!(store.trash(hash, deadline, None).await.unwrap());
    assert!(get(&store, block(&content), 0).await.is_none());
    assert!(matches!(list(&store, "").await[..], [Listed { state: State::Trashed(_), size: 1000, .. }]));
    assert!(store.untrash(hash).await.unwrap());
    assert!(store.untrash(hash).await.unwrap(), "what is in place stays");
    assert!(get(&store, block(&content), 0).await.unwrap() == content);

    assert!(store.trash(hash, deadline, None).await.unwrap());
    put(&store, &content).await.unwrap();
    assert!(store.trash(hash, deadline + Duration::from_secs(5), None).await.unwrap());
    let condemned = store.condemn(hash, deadline + Duration::from_secs(10)).await.unwrap();
    // A place may keep one copy of a block in its trash, or each for itself.
    assert!((1..=2).contains(&condemned.len()));
    for copy in condemned {
        assert_eq!(copy.size, 1000);
        assert!(store.delete(copy).await.unwrap());
        assert!(!store.delete(copy).await.unwrap());
    }
    assert!(!store.untrash(hash).await.unwrap());
}

async fn a_block_touched_since_is_not_trashed(store: Store) {
    let content = bytes(1000, 1);
    put(&store, &content).await.unwrap();
    let (hash, now) = (block(&content).hash, SystemTime::now());
    assert!(!store.trash(hash, now, Some(now - Duration::from_secs(100))).await.unwrap());
    assert!(get(&store, block(&content), 0).await.is_some());
    assert!(store.trash(hash, now, Some(now + Duration::from_secs(100))).await.unwrap());
}

async fn a_touch_renews_the_time_and_nothing_else(store: Store) {
    let content = bytes(1000, 1);
    let hash = block(&content).hash;
    assert!(!store.touch(hash).await.unwrap());
    assert!(store.stat(hash).await.unwrap().is_none());
    put(&store, &content).await.unwrap();
    let first = store.stat(hash).await.unwrap().unwrap();
    // Some servers count whole seconds.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(store.touch(hash).await.unwrap());
    let second = store.stat(hash).await.unwrap().unwrap();
    assert!((first.size, second.size) == (1000, 1000) && second.time > first.time);
    assert!(get(&store, block(&content), 0).await.unwrap() == content);
    assert!(store.trash(hash, SystemTime::now(), None).await.unwrap());
    assert!(!store.touch(hash).await.unwrap() && store.stat(hash).await.unwrap().is_none());
    assert_eq!(list(&store, "").await.len(), 1, "what is in the trash stays there");
}

async fn what_is_not_due_is_not_condemned(store: Store) {
    let content = bytes(1000, 1);
    let (hash, now) = (block(&content).hash, SystemTime::now());
    put(&store, &content).await.unwrap();
    store.trash(hash, now + Duration::from_secs(1000), None).await.unwrap();
    assert!(store.condemn(hash, now).await.unwrap().is_empty());
    assert!(store.untrash(hash).await.unwrap());
}

async fn a_condemned_copy_can_be_saved(store: Store) {
    let content = bytes(1000, 1);
    let (hash, now) = (block(&content).hash, SystemTime::now());
    put(&store, &content).await.unwrap();
    store.trash(hash, now, None).await.unwrap();
    let condemned = store.condemn(hash, now).await.unwrap();
    assert!(store.untrash(hash).await.unwrap());
    // A copy that comes into the trash now is another one.
    store.trash(hash, now, None).await.unwrap();
    assert!(!store.delete(condemned[0]).await.unwrap());
    assert!(store.untrash(hash).await.unwrap());
    assert!(get(&store, block(&content), 0).await.unwrap() == content);
    // A mark can be lost with the process that made it.
    store.trash(hash, now, None).await.unwrap();
    store.condemn(hash, now).await.unwrap();
    let again = store.condemn(hash, now).await.unwrap();
    assert!(store.delete(again[0]).await.unwrap());
}

async fn listing_is_whole(store: Store) {
    let contents: Vec<Vec<u8>> = (0..50).map(|seed| bytes(100 + usize::from(seed), seed)).collect();
    for content in &contents {
        put(&store, content).await.unwrap();
    }
    let mut blocks: Vec<Block> = contents.iter().map(|content| block(content)).collect();
    blocks.sort();
    let listed = list(&store, "").await;
    assert_eq!(listed.iter().map(|l| Block { hash: l.hash, size: l.size as u32 }).collect::<Vec<_>>(), blocks);
    assert!(listed.iter().all(|l| l.state == State::Live && l.time.elapsed().unwrap_or_default().as_secs() < 60));
    for digits in [1, 2, 3, 4, 32] {
        let prefix = &blocks[7].hash.to_string()[..digits];
        let wanted = blocks.iter().filter(|block| block.hash.to_string().starts_with(prefix)).count();
        assert_eq!(list(&store, prefix).await.len(), wanted);
    }
}

async fn space_is_told(store: Store) {
    let space = store.space().await.unwrap();
    assert!(space.total > 0 && space.free <= space.total);
    assert!(!store.name().is_empty());
}
