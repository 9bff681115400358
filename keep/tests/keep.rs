//! A Keep store in a directory, through its public interface.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::TryStreamExt;
use keep_store::base::clock::{Clock as _, ManualClock};
use keep_store::entries::{KeepError, KeepStore, Options, Upload};
use keep_store::store::StoreError;
use keep_store::store::dir::Create;
use tempfile::TempDir;

#[path = "keep/damage.rs"]
mod damage;
#[path = "keep/collect.rs"]
mod garbage;
#[path = "keep/held.rs"]
mod held;
#[path = "keep/manifest.rs"]
mod manifest;
#[path = "keep/pull.rs"]
mod pull;
#[path = "keep/reindex.rs"]
mod reindex;
#[path = "keep/resume.rs"]
mod resume;
#[path = "keep/service.rs"]
mod service;
#[path = "keep/trash.rs"]
mod trash;

#[path = "support/contents.rs"]
mod contents;
use contents::{collect, noise, push, put, small_blocks};

const OWNER: &[u8] = b"0aaa1111-2222-3333-4444-555566667777";

/// A store of its own, with small blocks so that small contents have many, and with a clock that stands still.
struct Fixture {
    dir: TempDir,
    store: KeepStore,
    clock: Arc<ManualClock>,
    options: Options,
}

impl Fixture {
    async fn new() -> Self {
        Self::with(small_blocks()).await
    }

    async fn with(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Blocks that are only written have their time from the file system: it has to be past by this clock.
        let clock = Arc::new(ManualClock::new(SystemTime::now() + Duration::from_secs(60)));
        let options = Options { clock: clock.clone(), ..options };
        let store = KeepStore::open(dir.path(), Create::IfMissing, options.clone()).await.unwrap();
        Self { dir, store, clock, options }
    }

    async fn put(&self, name: &[u8], content: &[u8]) -> keep_store::index::Entry {
        put(&self.store, OWNER, name, content).await
    }

    async fn get(&self, name: &[u8]) -> Option<Vec<u8>> {
        let content = self.store.read(OWNER, name, 0).await.unwrap()?;
        Some(collect(content).await.unwrap())
    }

    /// The files of blocks in place, sorted.
    fn blocks(&self) -> Vec<PathBuf> {
        files(self.dir.path(), |name| name.len() == 32)
    }

    fn trash(&self) -> Vec<PathBuf> {
        files(self.dir.path(), |name| name.contains(".trash."))
    }
}

fn files(root: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap()) {
        if folder.file_name().len() == 3 {
            let entries = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap());
            found.extend(entries.filter(|e| wanted(e.file_name().to_str().unwrap())).map(|e| e.path()));
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn contents_of_all_sizes_come_back_from_every_offset() {
    let fixture = Fixture::new().await;
    for size in [0, 1, 999, 1000, 1001, 2000, 5000, 12_345] {
        let name = format!("size{size}");
        let content = noise(size, size as u64);
        let entry = fixture.put(name.as_bytes(), &content).await;
        assert_eq!((entry.size, entry.blocks.len()), (size as u64, size.div_ceil(1000)));
        assert!(fixture.store.present(OWNER, name.as_bytes()).await.unwrap());
        for offset in [0, 1, 500, 999, 1000, 1500, 2000, size.saturating_sub(1), size, size + 1] {
            let read = fixture.store.read(OWNER, name.as_bytes(), offset as u64).await.unwrap().unwrap();
            assert_eq!(read.size, size as u64);
            assert!(collect(read).await.unwrap() == content.get(offset..).unwrap_or_default(), "{size} from {offset}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_blocks_come_back_through_read_ahead() {
    let fixture = Fixture::with(Options { block_size: 3 << 20, ..Options::default() }).await;
    let content = noise(20 << 20, 1);
    let mut upload = fixture.store.write(OWNER, b"large").await.unwrap();
    for part in content.chunks(300_000) {
        upload.push(Bytes::copy_from_slice(part)).await.unwrap();
    }
    assert_eq!(upload.commit().await.unwrap().blocks.len(), 7);
    assert!(fixture.get(b"large").await.unwrap() == content);
    let read = fixture.store.read(OWNER, b"large", (3 << 20) + 1234).await.unwrap().unwrap();
    assert!(collect(read).await.unwrap() == content[(3 << 20) + 1234..]);
}

#[tokio::test]
async fn equal_blocks_are_stored_once_and_presence_is_the_owners_own() {
    let fixture = Fixture::new().await;
    let block = noise(1000, 1);
    fixture.put(b"a", &[&block[..], &block, &block].concat()).await;
    assert_eq!(fixture.blocks().len(), 2, "one block, one manifest");
    put(&fixture.store, b"somebody-else", b"b", &block).await;
    assert_eq!(fixture.blocks().len(), 3);
    assert!(!fixture.store.present(OWNER, b"b").await.unwrap());
    assert!(fixture.store.read(OWNER, b"b", 0).await.unwrap().is_none());
    assert!(!fixture.store.present(b"somebody-else", b"a").await.unwrap());
}

#[tokio::test]
async fn names_are_bytes() {
    let fixture = Fixture::new().await;
    for name in
        [&b"with space"[..], b"tab\t", b"colon:", b"back\\slash", b"\xff\xfe", b"nul\0", b"\n", b"...", b"\xc3\xa4"]
    {
        let entry = fixture.put(name, name).await;
        assert_eq!(fixture.store.entry(OWNER, name).await.unwrap().unwrap(), entry);
        assert_eq!(fixture.get(name).await.unwrap(), name);
    }
    for bad in [&b""[..], b".", b"..", b"a/b"] {
        assert!(matches!(fixture.store.write(OWNER, bad).await, Err(KeepError::Name(_))));
        assert!(matches!(fixture.store.write(bad, b"name").await, Err(KeepError::Name(_))));
    }
}

#[tokio::test]
async fn entries_are_listed_in_order_over_many_pages() {
    let fixture = Fixture::new().await;
    let mut names: Vec<Vec<u8>> = (0..1203).map(|n| format!("name{n}").into_bytes()).collect();
    let puts = names.iter().map(|name| fixture.put(name, b"same"));
    futures_util::future::join_all(puts).await;
    put(&fixture.store, b"zz", b"other", b"same").await;
    names.sort();
    let listed: Vec<_> = fixture.store.entries(Some(OWNER)).try_collect().await.unwrap();
    assert_eq!(listed.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>(), names);
    assert_eq!(fixture.store.entries(None).try_collect::<Vec<_>>().await.unwrap().len(), 1204);
    assert!(fixture.store.entries(Some(b"nobody")).try_collect::<Vec<_>>().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_missing_store_is_an_error_and_stays_missing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("not/there");
    let opened = KeepStore::open(&path, Create::Never, Options::default()).await;
    assert!(matches!(opened, Err(KeepError::Store(StoreError::Missing { .. }))), "{opened:?}");
    assert!(!dir.path().join("not").exists());
    assert!(KeepStore::open(&path, Create::IfMissing, Options::default()).await.is_ok());
    assert!(KeepStore::open(&path, Create::Never, Options::default()).await.is_ok());
}

#[tokio::test]
async fn a_store_that_went_away_is_unknown_not_absent() {
    let fixture = Fixture::new().await;
    fixture.put(b"a", b"content").await;
    std::fs::rename(fixture.dir.path(), fixture.dir.path().with_extension("away")).unwrap();
    std::fs::create_dir(fixture.dir.path()).unwrap();
    for name in [&b"a"[..], b"never"] {
        let present = fixture.store.present(OWNER, name).await;
        assert!(matches!(present, Err(KeepError::Store(StoreError::Missing { .. }))), "{present:?}");
        let removed = fixture.store.remove(OWNER, name).await;
        assert!(matches!(removed, Err(KeepError::Store(StoreError::Missing { .. }))), "{removed:?}");
    }
    std::fs::remove_dir(fixture.dir.path()).unwrap();
    std::fs::rename(fixture.dir.path().with_extension("away"), fixture.dir.path()).unwrap();
}

#[tokio::test]
async fn a_full_store_says_so_and_keeps_nothing() {
    let fixture = Fixture::with(Options { reserve: u64::MAX / 2, ..small_blocks() }).await;
    let mut upload = fixture.store.write(OWNER, b"a").await.unwrap();
    push(&mut upload, b"content").await;
    let full = upload.commit().await;
    assert!(matches!(full, Err(KeepError::Store(StoreError::Full { .. }))), "{full:?}");
    assert!(!fixture.store.present(OWNER, b"a").await.unwrap());
    assert!(fixture.blocks().is_empty());
}

#[tokio::test]
async fn a_lost_index_is_an_error_until_it_is_rebuilt() {
    let fixture = Fixture::new().await;
    fixture.put(b"a", b"content").await;
    let Fixture { dir, store, .. } = fixture;
    drop(store);
    let index = dir.path().join(".annex-keep/index.db");
    // The writing thread closes the database a moment later, and takes away whatever log then has its log's name.
    let closed = async {
        while index.with_file_name("index.db-wal").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), closed).await.expect("the database is closed");
    std::fs::remove_file(index).unwrap();
    let error = KeepStore::open(dir.path(), Create::IfMissing, small_blocks()).await.unwrap_err();
    assert!(error.to_string().contains("reindex"), "{error}");
    let store = KeepStore::open_for_reindex(dir.path(), small_blocks()).await.unwrap();
    assert_eq!(store.reindex(false).await.unwrap().entries, 1);
    let store = KeepStore::open(dir.path(), Create::Never, small_blocks()).await.unwrap();
    assert!(store.present(OWNER, b"a").await.unwrap());
}

#[tokio::test]
async fn status_counts() {
    let fixture = Fixture::new().await;
    fixture.put(b"a", &noise(2500, 1)).await;
    fixture.put(b"b", &noise(10, 2)).await;
    fixture.store.remove(OWNER, b"b").await.unwrap();
    let status = fixture.store.status().await.unwrap();
    assert_eq!((status.blocks, status.trash, status.entries, status.entry_bytes), (4, 2, 1, 2500));
    assert!(status.used > 2500 && status.free > 0 && status.total >= status.free);
}
