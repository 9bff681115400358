//! The port `Retention`.

use keep_store::store::BlockState;

use super::*;

pub(super) async fn all(empty: &impl AsyncFn() -> Tried) {
    what_is_not_there_is_neither_kept_nor_removed(empty().await).await;
    trashed_blocks_come_back_until_deleted(empty().await).await;
    a_block_touched_since_is_not_trashed(empty().await).await;
    a_touch_renews_the_time_and_nothing_else(empty().await).await;
    a_touch_saves_a_block_that_was_old(empty().await).await;
    what_is_not_due_is_not_condemned(empty().await).await;
    a_condemned_copy_can_be_saved(empty().await).await;
}

async fn what_is_not_there_is_neither_kept_nor_removed(tried: Tried) {
    let (store, absent, now) = (tried.store(), block(b"absent").hash, tried.now());
    assert!(!store.touch(absent).await.unwrap());
    assert!(!store.trash(absent, now, None).await.unwrap());
    assert!(!store.untrash(absent).await.unwrap());
    assert!(store.condemn(absent, now).await.unwrap().is_empty());
    assert!(tried.list("").await.is_empty());
}

async fn trashed_blocks_come_back_until_deleted(tried: Tried) {
    let content = bytes(1000, 1);
    let (store, hash) = (tried.store(), block(&content).hash);
    let deadline = tried.now() + Duration::from_secs(1000);
    tried.put(&content).await.unwrap();
    assert!(store.trash(hash, deadline, None).await.unwrap());
    assert!(tried.get(block(&content)).await.is_none());
    assert_eq!(store.missing(&[block(&content)]).await.unwrap(), [block(&content)]);
    let [Listed { state: BlockState::Trashed(listed), size: 1000, .. }] = tried.list("").await[..] else {
        panic!("it is in the trash");
    };
    let early = deadline.duration_since(listed).unwrap();
    assert!(early < Duration::from_secs(1), "until {listed:?} instead of {deadline:?}");
    assert!(store.untrash(hash).await.unwrap());
    assert!(store.untrash(hash).await.unwrap(), "what is in place stays");
    assert!(tried.get(block(&content)).await.unwrap() == content);

    assert!(store.trash(hash, deadline, None).await.unwrap());
    tried.put(&content).await.unwrap();
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

async fn a_block_touched_since_is_not_trashed(tried: Tried) {
    let content = bytes(1000, 1);
    tried.put(&content).await.unwrap();
    let (store, hash, now) = (tried.store(), block(&content).hash, tried.now());
    assert!(!store.trash(hash, now, Some(now - Duration::from_secs(100))).await.unwrap());
    assert!(tried.get(block(&content)).await.is_some());
    assert!(store.trash(hash, now, Some(now + Duration::from_secs(100))).await.unwrap());
}

async fn a_touch_renews_the_time_and_nothing_else(tried: Tried) {
    let content = bytes(1000, 1);
    let (store, hash) = (tried.store(), block(&content).hash);
    tried.put(&content).await.unwrap();
    let first = store.stat(hash).await.unwrap().unwrap();
    tried.pass().await;
    assert!(store.touch(hash).await.unwrap());
    let second = store.stat(hash).await.unwrap().unwrap();
    assert!((first.size, second.size) == (1000, 1000) && second.time > first.time);
    assert!(tried.get(block(&content)).await.unwrap() == content);
    assert!(store.trash(hash, tried.now(), None).await.unwrap());
    assert!(!store.touch(hash).await.unwrap() && store.stat(hash).await.unwrap().is_none());
    assert_eq!(tried.list("").await.len(), 1, "what is in the trash stays there");
}

async fn a_touch_saves_a_block_that_was_old(tried: Tried) {
    let content = bytes(1000, 1);
    let (store, hash) = (tried.store(), block(&content).hash);
    tried.put(&content).await.unwrap();
    let written = store.stat(hash).await.unwrap().unwrap().time;
    // Some servers count whole seconds, and err on the side of what is kept.
    let since = written + Duration::from_millis(1);
    tried.pass().await;
    assert!(store.touch(hash).await.unwrap());
    assert!(!store.trash(hash, tried.now(), Some(since)).await.unwrap());
    assert!(tried.get(block(&content)).await.unwrap() == content);
}

async fn what_is_not_due_is_not_condemned(tried: Tried) {
    let content = bytes(1000, 1);
    let (store, hash, now) = (tried.store(), block(&content).hash, tried.now());
    tried.put(&content).await.unwrap();
    store.trash(hash, now + Duration::from_secs(1000), None).await.unwrap();
    assert!(store.condemn(hash, now).await.unwrap().is_empty());
    assert!(store.condemn(hash, now + Duration::from_secs(998)).await.unwrap().is_empty());
    assert!(store.untrash(hash).await.unwrap());
}

async fn a_condemned_copy_can_be_saved(tried: Tried) {
    let content = bytes(1000, 1);
    let (store, hash, now) = (tried.store(), block(&content).hash, tried.now());
    tried.put(&content).await.unwrap();
    store.trash(hash, now, None).await.unwrap();
    let condemned = store.condemn(hash, now).await.unwrap();
    assert!(store.untrash(hash).await.unwrap());
    // A copy that comes into the trash now is another one.
    store.trash(hash, now, None).await.unwrap();
    assert!(!store.delete(condemned[0]).await.unwrap());
    assert!(store.untrash(hash).await.unwrap());
    assert!(tried.get(block(&content)).await.unwrap() == content);
    // A mark can be lost with the process that made it.
    store.trash(hash, now, None).await.unwrap();
    store.condemn(hash, now).await.unwrap();
    let again = store.condemn(hash, now).await.unwrap();
    assert!(store.delete(again[0]).await.unwrap());
}
