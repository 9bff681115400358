//! Several volumes as one store: copies, classes, volumes that fail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use annex_protocol::keep::BlockHash;
use bytes::Bytes;
use futures_util::TryStreamExt;
use keep_store::base::clock::SystemClock;
use keep_store::store::dir::{Create, DirOptions, DirStore};
use keep_store::store::memory::MemoryStore;
use keep_store::store::volumes::{Copies, Stored, Volume, Volumes, Wanted};
use keep_store::store::{Block, Blocks, Inventory, Placed, StoreError};

fn volume(number: u8, store: &MemoryStore) -> Volume {
    Volume {
        uuid: format!("zzzzz-nyw5e-{number:015}"),
        store: Arc::new(store.clone()),
        read_only: false,
        replication: 1,
        classes: BTreeSet::from(["default".to_owned()]),
    }
}

fn block(content: &'static [u8]) -> Block {
    Block { hash: BlockHash::of(content), size: content.len() as u32 }
}

fn wanted(replicas: u32, classes: &[&str]) -> Wanted {
    Wanted { replicas, classes: classes.iter().map(|class| (*class).to_owned()).collect() }
}

async fn put(volumes: &Volumes, content: &'static [u8], wanted: Wanted) -> Result<Stored, StoreError> {
    let mut put = volumes.put(Some(block(content).hash), wanted).await;
    put.push(Bytes::from_static(content)).await;
    put.finish(block(content), None).await
}

async fn read(volumes: &Volumes, content: &'static [u8]) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(stream) = volumes.read(block(content), 0, 0).await? else { return Ok(None) };
    Ok(Some(stream.try_collect::<Vec<Bytes>>().await?.concat()))
}

fn stores() -> [MemoryStore; 3] {
    ["a", "b", "c"].map(|name| MemoryStore::new(name, 1 << 20, SystemClock::shared()))
}

fn on(stored: &Stored) -> Vec<usize> {
    stored.on.iter().map(|(at, _)| *at).collect()
}

fn counts(volumes: &Volumes, stored: &Stored) -> Copies {
    volumes.copies(on(stored).into_iter())
}

#[tokio::test]
async fn as_many_copies_are_made_as_asked_and_the_same_ones_are_found_again() {
    let stores = stores();
    let volumes = Volumes::new(vec![volume(0, &stores[0]), volume(1, &stores[1]), volume(2, &stores[2])]);
    let first = put(&volumes, b"content", wanted(2, &[])).await.unwrap();
    let copies = counts(&volumes, &first);
    assert_eq!((first.on.len(), copies.replicas, copies.classes["default"]), (2, 2, 2));
    let again = put(&volumes, b"content", wanted(1, &[])).await.unwrap();
    assert_eq!(again.on.len(), 1);
    assert!(on(&first).contains(&on(&again)[0]) && again.on[0].1 == Placed::Existing);
    let more = put(&volumes, b"content", wanted(9, &[])).await.unwrap();
    assert_eq!((on(&more), counts(&volumes, &more).replicas), (vec![0, 1, 2], 3), "and no more than there are volumes");
}

#[tokio::test]
async fn classes_decide_where_a_block_goes_and_replication_counts() {
    let stores = stores();
    let mut volumes = [volume(0, &stores[0]), volume(1, &stores[1]), volume(2, &stores[2])];
    volumes[1].classes = BTreeSet::from(["archival".to_owned(), "tape".to_owned()]);
    volumes[1].replication = 3;
    volumes[2].read_only = true;
    let volumes = Volumes::new(volumes.to_vec());
    let stored = put(&volumes, b"content", wanted(2, &["archival", "default"])).await.unwrap();
    let copies = counts(&volumes, &stored);
    assert_eq!((on(&stored), copies.replicas), (vec![0, 1], 4));
    assert_eq!(copies.classes, BTreeMap::from([("archival".into(), 3), ("default".into(), 1), ("tape".into(), 3)]));
    let stored = put(&volumes, b"other", wanted(1, &["tape"])).await.unwrap();
    assert_eq!(on(&stored), [1]);
    assert!(matches!(put(&volumes, b"content", wanted(1, &["none"])).await, Err(StoreError::Nowhere)));
    assert!(stores[2].stat(block(b"content").hash).await.unwrap().is_none());
}

#[tokio::test]
async fn another_volume_takes_the_place_of_a_full_one() {
    let full = MemoryStore::new("full", 3, SystemClock::shared());
    let [good, other, _] = stores();
    let volumes = Volumes::new(vec![volume(0, &full), volume(1, &good), volume(2, &other)]);
    for content in [&b"content"[..], b"another", b"a third"] {
        let stored = put(&volumes, content, wanted(2, &[])).await.unwrap();
        assert_eq!((on(&stored), counts(&volumes, &stored).replicas), (vec![1, 2], 2));
    }
    let alone = Volumes::new(vec![volume(0, &full)]);
    assert!(matches!(put(&alone, b"content", wanted(1, &[])).await, Err(StoreError::Full { .. })));
}

#[tokio::test]
async fn a_bad_copy_is_followed_by_a_good_one() {
    let stores = stores();
    let volumes = Volumes::new(vec![volume(0, &stores[0]), volume(1, &stores[1])]);
    put(&volumes, b"content", wanted(2, &[])).await.unwrap();
    for store in &stores[..2] {
        store.damage(block(b"content").hash, Bytes::from_static(b"c0ntent"));
        let good = stores[..2].iter().filter(|other| other.name() != store.name());
        for other in good {
            other.damage(block(b"content").hash, Bytes::from_static(b"content"));
        }
        assert_eq!(read(&volumes, b"content").await.unwrap().unwrap(), b"content");
    }
    assert!(read(&volumes, b"absent").await.unwrap().is_none());
}

#[tokio::test]
async fn a_volume_that_cannot_be_asked_makes_an_absent_block_unknown() {
    let [here, ..] = stores();
    let dir = tempfile::tempdir().unwrap();
    let gone = DirStore::open(dir.path(), Create::IfMissing, DirOptions::default()).await.unwrap();
    std::fs::remove_dir_all(dir.path()).unwrap();
    let away = Volume { store: Arc::new(gone), ..volume(0, &here) };
    let volumes = Volumes::new(vec![away, volume(1, &here)]);
    assert!(read(&volumes, b"content").await.is_err());
    assert!(volumes.missing(&[block(b"content")]).await.is_err());
    let stored = put(&volumes, b"content", wanted(1, &[])).await.unwrap();
    assert_eq!(on(&stored), [1]);
    assert_eq!(read(&volumes, b"content").await.unwrap().unwrap(), b"content");
}
