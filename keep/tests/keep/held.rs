//! Small blocks, of which the store need not be durable when an upload is acknowledged: the index is.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use annex_protocol::keep::BlockHash;
use async_trait::async_trait;
use keep_store::base::clock::SystemClock;
use keep_store::entries::{KeepStore, Sealer};
use keep_store::index::sqlite::{Mode, SqliteIndex};
use keep_store::store::dir::Create;
use keep_store::store::dir::{DirOptions, DirStore};
use keep_store::store::{Block, Blocks, PlaceUnsynced, StoreError, StoreParts};

use super::*;

/// A directory on a disk that does not sync: whatever is put in place is lost with the machine.
struct Unsynced {
    inner: DirStore,
    asked: Arc<AtomicBool>,
}

#[async_trait]
impl PlaceUnsynced for Unsynced {
    async fn place(&self, blocks: Vec<(Block, Bytes)>) -> Result<(), StoreError> {
        self.inner.place(blocks).await
    }

    async fn sync(&self) -> Result<(), StoreError> {
        self.asked.store(true, Ordering::SeqCst);
        Err(StoreError::Full { store: self.inner.name() })
    }
}

/// A store whose machine ends before anything was synced but the index, after these entries were acknowledged.
async fn cut_off(entries: &[(&[u8], &[u8])], removed: &[&[u8]]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    drop(KeepStore::open(dir.path(), Create::IfMissing, Options::default()).await.unwrap());
    let key = fs::read(dir.path().join(".annex-keep/signing-key")).unwrap();
    let inner = DirStore::open(dir.path(), Create::Never, DirOptions::default()).await.unwrap();
    let index =
        SqliteIndex::open(&dir.path().join(".annex-keep/index.db"), Mode::Use, SystemClock::shared()).await.unwrap();
    let asked = Arc::new(AtomicBool::new(false));
    let unsynced = Arc::new(Unsynced { inner: inner.clone(), asked: Arc::clone(&asked) });
    let parts = StoreParts { unsynced: Some(unsynced), ..StoreParts::plain(inner) };
    let store = KeepStore::new(parts, index, Sealer::new(key.trim_ascii()), Options::default());
    for (name, content) in entries {
        put(&store, OWNER, name, content).await;
        let read = store.read(OWNER, name, 0).await.unwrap().unwrap();
        assert_eq!(collect(read).await.unwrap(), *content, "it is there at once");
    }
    for name in removed {
        assert!(store.remove(OWNER, name).await.unwrap());
    }
    drop(store);
    assert!(asked.load(Ordering::SeqCst), "the end of a store syncs what is not synced");
    dir
}

/// Opens the store when whoever wrote to it has been dead for longer than anybody holds bytes.
async fn much_later(dir: &TempDir) -> KeepStore {
    let clock = Arc::new(ManualClock::new(SystemTime::now() + Duration::from_secs(60)));
    KeepStore::open(dir.path(), Create::Never, Options { clock, ..Options::default() }).await.unwrap()
}

fn held(dir: &TempDir) -> i64 {
    let index = rusqlite::Connection::open(dir.path().join(".annex-keep/index.db")).unwrap();
    index.query_row("SELECT count(*) FROM held", [], |row| row.get(0)).unwrap()
}

async fn read(store: &KeepStore, name: &[u8]) -> Option<Vec<u8>> {
    Some(collect(store.read(OWNER, name, 0).await.unwrap()?).await.unwrap())
}

#[tokio::test]
async fn what_was_acknowledged_outlives_the_loss_of_everything_unsynced() {
    let (one, two) = (noise(4096, 1), noise(100_000, 2));
    let dir = cut_off(&[(b"one", &one), (b"two", &two), (b"empty", b"")], &[]).await;
    for block in files(dir.path(), |name| name.len() == 32) {
        fs::remove_file(block).unwrap();
    }
    // Missed before anybody looked after it.
    let store = KeepStore::open(dir.path(), Create::Never, Options::default()).await.unwrap();
    assert_eq!(read(&store, b"one").await.unwrap(), one);
    drop(store);
    // And as after a boot, with the manifests, so that the index can be rebuilt again.
    let store = much_later(&dir).await;
    assert_eq!(held(&dir), 0);
    assert_eq!(store.reindex(false).await.unwrap().entries, 3);
    assert_eq!(read(&store, b"two").await.unwrap(), two);
    assert_eq!(read(&store, b"empty").await.unwrap(), b"");
}

#[tokio::test]
async fn a_block_that_was_torn_is_whole_again() {
    let content = noise(4096, 3);
    for torn in [vec![], vec![0; 100], vec![0; 4096]] {
        let dir = cut_off(&[(b"a", &content)], &[]).await;
        let hash = BlockHash::of(&content).to_string();
        fs::write(dir.path().join(&hash[..3]).join(&hash), &torn).unwrap();
        let store = much_later(&dir).await;
        assert_eq!(read(&store, b"a").await.unwrap(), content, "torn to {} bytes", torn.len());
        assert_eq!(held(&dir), 0);
    }
}

#[tokio::test]
async fn what_was_removed_since_does_not_come_back() {
    let content = noise(4096, 4);
    let dir = cut_off(&[(b"a", &content), (b"b", &noise(4096, 5))], &[b"a"]).await;
    for block in files(dir.path(), |_| true) {
        fs::remove_file(block).unwrap();
    }
    let store = much_later(&dir).await;
    assert!(!store.present(OWNER, b"a").await.unwrap());
    assert!(store.present(OWNER, b"b").await.unwrap());
    assert_eq!(files(dir.path(), |name| name.len() == 32).len(), 2, "the block and the manifest of b");
    assert_eq!(held(&dir), 0);
}

#[tokio::test]
async fn a_removal_that_the_machine_forgot_leaves_a_whole_entry() {
    let (small, large) = (noise(4096, 8), noise(300_000, 9));
    let fixture = Fixture::with(Options::default()).await;
    fixture.put(b"small", &small).await;
    fixture.put(b"large", &large).await;
    let Fixture { dir, store, .. } = fixture;
    let own = dir.path().join(".annex-keep");
    let before = own.join("before.db");
    let index = rusqlite::Connection::open(own.join("index.db")).unwrap();
    index.execute("VACUUM INTO ?1", [before.to_str().unwrap()]).unwrap();
    drop(index);
    for name in [b"small", b"large"] {
        assert!(store.remove(OWNER, name).await.unwrap());
        assert!(!store.present(OWNER, name).await.unwrap(), "gone at once");
    }
    drop(store);
    // Removals are not synced: after a power cut, the index may be as it was.
    // Whoever closes the index last clears its log away, and must not take a later one's.
    while own.join("index.db-wal").exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fs::rename(before, own.join("index.db")).unwrap();
    let store = KeepStore::open(dir.path(), Create::Never, Options::default()).await.unwrap();
    assert_eq!(read(&store, b"small").await.unwrap(), small);
    assert_eq!(read(&store, b"large").await.unwrap(), large);
    assert!(store.remove(OWNER, b"small").await.unwrap(), "and it can be removed again");
    assert!(!store.present(OWNER, b"small").await.unwrap());
}

#[tokio::test]
async fn bytes_are_let_go_of_when_the_store_has_synced_them() {
    let fixture = Fixture::with(Options::default()).await;
    fixture.put(b"a", &noise(4096, 6)).await;
    for _ in 0..200 {
        if held(&fixture.dir) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the index holds the bytes on");
}

#[tokio::test]
async fn a_block_that_this_process_put_in_place_is_missed_when_it_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = KeepStore::open(dir.path(), Create::IfMissing, Options::default()).await.unwrap();
    let content = noise(4096, 7);
    put(&store, OWNER, b"a", &content).await;
    let hash = BlockHash::of(&content).to_string();
    fs::remove_file(dir.path().join(&hash[..3]).join(&hash)).unwrap();
    assert!(!store.present(OWNER, b"a").await.unwrap(), "no copy of it is made up from elsewhere");
}
