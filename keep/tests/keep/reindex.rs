//! The index from the blocks alone.

use keep_store::index::Entry;

use super::*;

async fn listing(store: &KeepStore) -> Vec<(Vec<u8>, Vec<u8>, u64, String, usize)> {
    let entries: Vec<Entry> = store.entries(None).try_collect().await.unwrap();
    entries.into_iter().map(|e| (e.owner, e.name, e.size, e.manifest.to_string(), e.blocks.len())).collect()
}

/// Removes index and key as told, and rebuilds.
async fn rebuilt(fixture: &Fixture, lost: &[&str], accept: bool) -> (KeepStore, keep_store::entries::Reindexed) {
    for name in lost {
        let path = fixture.dir.path().join(".annex-keep").join(name);
        std::fs::remove_file(&path).unwrap();
        for log in ["-wal", "-shm"] {
            let _not_a_database = std::fs::remove_file(fixture.dir.path().join(format!(".annex-keep/{name}{log}")));
        }
    }
    let store = KeepStore::open_for_reindex(fixture.dir.path(), fixture.options.clone()).await.unwrap();
    let reindexed = store.reindex(accept).await.unwrap();
    drop(store);
    (KeepStore::open(fixture.dir.path(), Create::Never, small_blocks()).await.unwrap(), reindexed)
}

async fn filled() -> Fixture {
    let fixture = Fixture::new().await;
    for n in 0..20 {
        fixture.put(format!("name {n}").as_bytes(), &noise(n * 333, 1)).await;
    }
    put(&fixture.store, b"other owner", b"\xff:\\ ", b"content").await;
    fixture.put(b"replaced", b"old").await;
    fixture.put(b"replaced", b"new content").await;
    fixture.put(b"removed", b"gone").await;
    fixture.store.remove(OWNER, b"removed").await.unwrap();
    fixture
}

#[tokio::test]
async fn a_deleted_index_is_rebuilt_the_same() {
    let fixture = filled().await;
    let before = listing(&fixture.store).await;
    assert_eq!(before.len(), 22);
    let (store, reindexed) = rebuilt(&fixture, &["index.db"], false).await;
    assert_eq!(listing(&store).await, before);
    assert_eq!((reindexed.entries, reindexed.foreign.len(), reindexed.damaged.len()), (22, 0, 0));
    assert!(collect(store.read(OWNER, b"name 19", 0).await.unwrap().unwrap()).await.unwrap() == noise(19 * 333, 1));
    // References too are back: a removal trashes what nothing else needs, and only that.
    assert!(store.remove(OWNER, b"name 19").await.unwrap());
    assert!(store.present(OWNER, b"name 18").await.unwrap());
}

#[tokio::test]
async fn a_broken_index_is_set_aside_and_rebuilt() {
    let fixture = filled().await;
    let before = listing(&fixture.store).await;
    let index = fixture.dir.path().join(".annex-keep/index.db");
    std::fs::write(&index, noise(100_000, 3)).unwrap();
    for log in ["index.db-wal", "index.db-shm"] {
        std::fs::remove_file(index.with_file_name(log)).unwrap();
    }
    let error = KeepStore::open(fixture.dir.path(), Create::IfMissing, small_blocks()).await.unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
    let (store, _) = rebuilt(&fixture, &[], false).await;
    assert_eq!(listing(&store).await, before);
}

#[tokio::test]
async fn rebuilding_a_sound_index_changes_nothing() {
    let fixture = filled().await;
    let before = listing(&fixture.store).await;
    let (store, reindexed) = rebuilt(&fixture, &[], false).await;
    assert_eq!(listing(&store).await, before);
    assert_eq!(reindexed.forgotten, 0);
}

#[tokio::test]
async fn an_entry_without_its_manifest_is_forgotten() {
    let fixture = filled().await;
    let entry = fixture.store.entry(OWNER, b"name 3").await.unwrap().unwrap();
    let hash = entry.manifest.hash.to_string();
    std::fs::remove_file(fixture.dir.path().join(&hash[..3]).join(&hash)).unwrap();
    // What is recorded while an index is rebuilt is left alone.
    fixture.clock.advance(Duration::from_nanos(1));
    let (store, reindexed) = rebuilt(&fixture, &[], false).await;
    assert_eq!(reindexed.forgotten, 1);
    assert!(!store.present(OWNER, b"name 3").await.unwrap());
}

#[tokio::test]
async fn content_that_looks_like_a_manifest_makes_no_entry() {
    let fixture = Fixture::new().await;
    let secret = fixture.put(b"secret", b"the secret content").await;
    // A user knows the hash and makes up a manifest; and one who has seen a sealed manifest changes it.
    let made_up = format!("./annex-keep/attacker {} 0:18:stolen\n", secret.blocks[0]);
    let hash = secret.manifest.hash.to_string();
    let sealed = std::fs::read(fixture.dir.path().join(&hash[..3]).join(&hash)).unwrap();
    let sealed = String::from_utf8(sealed).unwrap();
    let renamed = sealed.replace("0:18:secret", "0:18:public");
    let taken = sealed.replace(std::str::from_utf8(OWNER).unwrap(), "attacker");
    assert!(sealed != renamed && sealed != taken);
    for (n, forged) in [made_up, renamed, taken].iter().enumerate() {
        put(&fixture.store, b"attacker", format!("upload{n}").as_bytes(), forged.as_bytes()).await;
    }
    let before = listing(&fixture.store).await;
    let (store, reindexed) = rebuilt(&fixture, &["index.db"], false).await;
    assert_eq!(listing(&store).await, before);
    assert_eq!(reindexed.foreign.len(), 3);
    assert!(!store.present(b"attacker", b"stolen").await.unwrap());
}

#[tokio::test]
async fn with_a_lost_key_manifests_count_only_when_asked_for() {
    let fixture = filled().await;
    let before = listing(&fixture.store).await;
    let (store, reindexed) = rebuilt(&fixture, &["index.db", "signing-key"], false).await;
    assert!(listing(&store).await.is_empty());
    assert_eq!(reindexed.foreign.len(), before.len());
    let (store, _) = rebuilt(&fixture, &[], true).await;
    assert_eq!(listing(&store).await, before);
}
