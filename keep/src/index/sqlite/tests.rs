use std::time::Duration;

use super::*;
use crate::base::clock::SystemClock;
use crate::index::Holding;

fn block(n: u8) -> Block {
    Block { hash: [n; 16].into(), size: u32::from(n) }
}

fn entry(name: &str, manifest: u8, blocks: &[u8]) -> Entry {
    let stored = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_700_000_000_000_000_007);
    let blocks = blocks.iter().map(|n| block(*n)).collect();
    Entry { owner: b"owner".to_vec(), name: name.into(), size: 1 << 40, manifest: block(manifest), blocks, stored }
}

async fn index() -> (tempfile::TempDir, SqliteIndex) {
    let dir = tempfile::tempdir().unwrap();
    let index = SqliteIndex::open(&dir.path().join("index.db"), Mode::Create, SystemClock::shared()).await.unwrap();
    (dir, index)
}

const LATER: SystemTime = SystemTime::UNIX_EPOCH;

#[tokio::test]
async fn sums_follow_what_comes_and_goes_and_begin_in_an_index_without_them() {
    let (dir, index) = index().await;
    index.put(entry("a", 9, &[1]), LATER).await.unwrap();
    index.put(entry("b", 8, &[2]), LATER).await.unwrap();
    index.put(entry("a", 7, &[3]), LATER).await.unwrap();
    let totals = index.totals().await.unwrap();
    assert_eq!((totals.entries, totals.bytes), (2, 2 << 40));
    drop(index);
    let path = dir.path().join("index.db");
    let old = "DROP TRIGGER entries_come; DROP TRIGGER entries_go; DELETE FROM state WHERE key != 'complete'";
    rusqlite::Connection::open(&path).unwrap().execute_batch(old).unwrap();
    let index = SqliteIndex::open(&path, Mode::Use, SystemClock::shared()).await.unwrap();
    index.remove(b"owner", b"b", LATER).await.unwrap();
    let totals = index.totals().await.unwrap();
    assert_eq!((totals.entries, totals.bytes), (1, 1 << 40));
}

#[tokio::test]
async fn what_fails_is_undone_and_nothing_beside_it() {
    let (_dir, index) = index().await;
    let change = |value: i64, well: bool| {
        index.writer.write(move |db| {
            db.execute("INSERT INTO due VALUES (?1, ?1)", [value])?;
            if well { Ok(()) } else { Err(rusqlite::Error::InvalidQuery) }
        })
    };
    assert!(change(1, false).await.is_err(), "alone");
    for round in 0..20 {
        // The first one takes the thread; the others wait for it, and come in one transaction.
        let more = (1..6).map(|n| change(10 * (round + 1) + n, n != 3));
        let outcomes = futures_util::future::join_all(more).await;
        assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false, true, true]);
    }
    let sum = index.readers.read(|db| db.query_row("SELECT count(*) FROM due", [], |row| row.get::<_, i64>(0)));
    assert_eq!(sum.await.unwrap(), 80);
}

#[tokio::test]
async fn opening_tells_missing_incomplete_damaged_and_foreign() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.db");
    let open = async |mode| SqliteIndex::open(&path, mode, SystemClock::shared()).await;
    assert!(matches!(open(Mode::Use).await, Err(IndexError::Missing { .. })));
    assert!(!path.exists());
    let index = open(Mode::Rebuild).await.unwrap();
    assert!(matches!(open(Mode::Use).await, Err(IndexError::Incomplete { .. })));
    index.set_complete(true).await.unwrap();
    // The writing thread closes the database a moment later; until then its log would bring everything back. Two that
    // close at once may leave it there for good.
    let closed = async || {
        while path.with_file_name("index.db-wal").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    drop(index);
    tokio::time::timeout(Duration::from_secs(60), closed()).await.expect("the database is closed");
    drop(open(Mode::Use).await.unwrap());
    tokio::time::timeout(Duration::from_secs(60), closed()).await.expect("the database is closed");
    std::fs::write(&path, [7; 5000]).unwrap();
    assert!(matches!(open(Mode::Use).await, Err(IndexError::Damaged { .. })));
    drop(open(Mode::Rebuild).await.unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(open(Mode::Use).await, Err(IndexError::Format { found: 99, .. })));
}

#[tokio::test]
async fn a_record_and_the_bytes_with_it_wait_for_the_disk_once() {
    let (_dir, index) = index().await;
    index.put_holding(entry("a", 9, &[3]), vec![(block(3), "abc".into())], LATER).await.unwrap();
    let synchronous = index.writer.write(|db| db.query_row("PRAGMA synchronous", [], |row| row.get::<_, i64>(0)));
    assert_eq!(synchronous.await.unwrap(), 2, "full: each commit is synced");
}
