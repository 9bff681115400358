use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::base::clock::SystemClock;
use crate::index::{Held, Holding, Signatures};

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
async fn what_was_put_comes_back_whole() {
    let (_dir, index) = index().await;
    let entry = entry("a", 9, &[1, 2, 1]);
    assert!(index.put(entry.clone(), LATER).await.unwrap().is_empty());
    assert_eq!(index.entry(b"owner", b"a").await.unwrap().unwrap(), entry);
    assert_eq!(index.entry(b"owner", b"b").await.unwrap(), None);
    assert_eq!(index.entries_with(block(2).hash).await.unwrap(), [entry]);
}

#[tokio::test]
async fn blocks_are_unreferenced_when_the_last_reference_goes() {
    let (_dir, index) = index().await;
    index.put(entry("a", 9, &[1, 2]), LATER).await.unwrap();
    index.put(entry("b", 8, &[2, 3]), LATER).await.unwrap();
    index.record_upload(b"owner", b"c", &[block(3)]).await.unwrap();
    assert_eq!(index.remove(b"owner", b"a", LATER).await.unwrap().unwrap(), [block(1), block(9)]);
    assert_eq!(index.remove(b"owner", b"a", LATER).await.unwrap(), None);
    assert_eq!(index.remove(b"owner", b"b", LATER).await.unwrap().unwrap(), [block(2), block(8)]);
    let all: Vec<BlockHash> = (1..=9).map(|n| block(n).hash).collect();
    assert_eq!(index.referenced(&all).await.unwrap(), [block(3).hash]);
    assert_eq!(index.forget_upload(b"owner", b"c", LATER).await.unwrap(), [block(3)]);
}

#[tokio::test]
async fn replacing_an_entry_keeps_what_both_have() {
    let (_dir, index) = index().await;
    index.put(entry("a", 9, &[1, 2]), LATER).await.unwrap();
    assert_eq!(index.put(entry("a", 8, &[2, 3]), LATER).await.unwrap(), [block(1), block(9)]);
    assert_eq!(index.totals().await.unwrap().entries, 1);
}

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
async fn notes_of_due_blocks_wait_for_their_time() {
    let (_dir, index) = index().await;
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    index.put(entry("a", 9, &[1]), LATER).await.unwrap();
    index.remove(b"owner", b"a", at(100)).await.unwrap();
    assert!(index.due(at(99), 10).await.unwrap().is_empty());
    assert_eq!(index.due(at(100), 1).await.unwrap().len(), 1);
    index.forget_due(&[block(1).hash, block(9).hash], at(99)).await.unwrap();
    assert_eq!(index.due(at(100), 10).await.unwrap().len(), 2, "a later deadline is not forgotten");
    index.forget_due(&[block(1).hash], at(100)).await.unwrap();
    assert_eq!(index.due(at(100), 10).await.unwrap(), [block(9).hash]);
}

#[tokio::test]
async fn uploads_are_remembered_and_grow_stale() {
    let (dir, index) = index().await;
    index.record_upload(b"owner", b"a", &[block(1)]).await.unwrap();
    index.record_upload(b"owner", b"a", &[block(1), block(2)]).await.unwrap();
    drop(index);
    let index = SqliteIndex::open(&dir.path().join("index.db"), Mode::Use, SystemClock::shared()).await.unwrap();
    assert_eq!(index.upload(b"owner", b"a").await.unwrap(), [block(1), block(2)]);
    let hour = Duration::from_secs(3600);
    assert!(index.stale_uploads(SystemTime::now() - hour, 10).await.unwrap().is_empty());
    let stale = index.stale_uploads(SystemTime::now() + hour, 10).await.unwrap();
    assert_eq!(stale, [(b"owner".to_vec(), b"a".to_vec())]);
    index.put(entry("a", 9, &[1, 2]), LATER).await.unwrap();
    assert!(index.upload(b"owner", b"a").await.unwrap().is_empty(), "a finished upload is not unfinished");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_openings_write_at_once_without_an_error() {
    let (dir, one) = index().await;
    let two = SqliteIndex::open(&dir.path().join("index.db"), Mode::Use, SystemClock::shared()).await.unwrap();
    let indexes = [Arc::new(one), Arc::new(two)];
    let tasks = (0..40u8).map(|n| {
        let index = Arc::clone(&indexes[usize::from(n % 2)]);
        tokio::spawn(async move {
            index.put(entry(&format!("n{n}"), n, &[100]), LATER).await.unwrap();
            assert!(index.entry(b"owner", format!("n{n}").as_bytes()).await.unwrap().is_some());
            if n % 4 == 0 {
                index.remove(b"owner", format!("n{n}").as_bytes(), LATER).await.unwrap();
            }
        })
    });
    for task in futures_util::future::join_all(tasks).await {
        task.unwrap();
    }
    assert_eq!(indexes[1].totals().await.unwrap().entries, 30);
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
    drop(index);
    drop(open(Mode::Use).await.unwrap());
    // The writing thread closes the database a moment later; until then its log would bring everything back.
    let closed = async {
        while path.with_file_name("index.db-wal").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), closed).await.expect("the database is closed");
    std::fs::write(&path, [7; 5000]).unwrap();
    assert!(matches!(open(Mode::Use).await, Err(IndexError::Damaged { .. })));
    drop(open(Mode::Rebuild).await.unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(open(Mode::Use).await, Err(IndexError::Format { found: 99, .. })));
}

#[tokio::test]
async fn retain_spares_what_is_kept_and_what_is_new() {
    let (_dir, index) = index().await;
    for (name, manifest) in [("a", 1), ("b", 2)] {
        index.put(entry(name, manifest, &[5]), LATER).await.unwrap();
    }
    let new = Entry { stored: SystemTime::now(), ..entry("c", 3, &[5]) };
    index.put(new, LATER).await.unwrap();
    let before = SystemTime::now() - Duration::from_secs(10);
    let gone = index.retain(Box::new(|hash| hash == block(1).hash), before).await.unwrap();
    assert_eq!(gone, 1);
    let names: Vec<_> = index.list(None, None, 10).await.unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, [b"a", b"c"]);
    assert!(index.referenced(&[block(2).hash]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_record_and_the_bytes_with_it_are_durable_together() {
    let (dir, index) = index().await;
    let (unreferenced, numbers) =
        index.put_holding(entry("a", 9, &[3]), vec![(block(3), "abc".into())], LATER).await.unwrap();
    assert!(unreferenced.is_empty());
    // Seen by another connection, as by another process: it is committed, in a log that is synced at each commit.
    let again = SqliteIndex::open(&dir.path().join("index.db"), Mode::Use, SystemClock::shared()).await.unwrap();
    assert_eq!(again.held_block(block(3)).await.unwrap().unwrap(), "abc");
    assert_eq!(again.held_block(block(9)).await.unwrap(), None);
    let later = SystemTime::now() + Duration::from_secs(60);
    let held = again.held(later, 10).await.unwrap();
    assert_eq!(held, [Held { number: numbers[0], block: block(3), bytes: "abc".into() }]);
    assert!(again.held(SystemTime::UNIX_EPOCH, 10).await.unwrap().is_empty());
    let synchronous = index.writer.write(|db| db.query_row("PRAGMA synchronous", [], |row| row.get::<_, i64>(0)));
    assert_eq!(synchronous.await.unwrap(), 2, "full: each commit is synced");
    again.release(numbers.clone()).await.unwrap();
    assert_eq!(index.held_block(block(3)).await.unwrap(), None);
    let (_, next) = index.put_holding(entry("b", 8, &[4]), vec![(block(4), "d".into())], LATER).await.unwrap();
    assert!(next[0] > numbers[0], "a number is never used again");
}

#[tokio::test]
async fn signatures_stay_while_something_refers_to_their_block() {
    let (_dir, index) = index().await;
    let locators = [1, 2, 3].map(|n| {
        let signed = block(n).locator().with_hint(&format!("A{}@7fffffff", "0".repeat(40)));
        signed.unwrap()
    });
    let noted = async || index.noted([1, 2, 3, 4].map(|n| block(n).hash).into()).await.unwrap();
    index.note(locators.to_vec()).await.unwrap();
    assert_eq!(noted().await, locators);
    let renewed = block(1).locator().with_hint(&format!("A{}@7fffffff", "1".repeat(40))).unwrap();
    index.note(vec![renewed.clone()]).await.unwrap();
    index.put(entry("a", 9, &[1]), LATER).await.unwrap();
    index.record_upload(b"owner", b"b", &[block(2)]).await.unwrap();
    index.forget_unneeded(SystemTime::UNIX_EPOCH).await.unwrap();
    assert_eq!(noted().await.len(), 3, "they are too new");
    index.forget_unneeded(SystemTime::now()).await.unwrap();
    assert_eq!(noted().await, [renewed, locators[1].clone()]);
}
