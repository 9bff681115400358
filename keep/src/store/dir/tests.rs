use std::fs;
use std::time::Duration;

use futures_util::TryStreamExt;

use super::*;
use crate::base::clock::ManualClock;
use crate::store::{BlockState, Listed};

async fn store() -> (tempfile::TempDir, DirStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = DirStore::open(dir.path(), Create::IfMissing, DirOptions::default()).await.unwrap();
    (dir, store)
}

async fn put(store: &DirStore, content: &'static [u8]) -> Block {
    let block = Block { hash: BlockHash::of(content), size: content.len() as u32 };
    let mut writer = store.writer().await.unwrap();
    writer.write(Bytes::from_static(content)).await.unwrap();
    writer.finish(block, None).await.unwrap();
    block
}

#[tokio::test]
async fn temporary_files_of_the_dead_go_after_a_day() {
    let (dir, store) = store().await;
    let file = store.own().join("tmp/of the dead");
    fs::write(&file, b"").unwrap();
    for (hours, stays) in [(23, true), (25, false)] {
        let clock = Arc::new(ManualClock::new(SystemTime::now() + Duration::from_secs(hours * 3600)));
        DirStore::open(dir.path(), Create::Never, DirOptions { clock, ..DirOptions::default() }).await.unwrap();
        assert_eq!(file.exists(), stays, "after {hours} hours");
    }
}

#[tokio::test]
async fn only_what_follows_keepstores_rules_is_listed() {
    let (dir, store) = store().await;
    let block = put(&store, b"content").await;
    let (hash, folder) = (block.hash.to_string(), store.0.folder(block.hash));
    for name in [format!("tmp{hash}123"), "readme".into(), format!("{hash}.trash.soon"), hash.to_uppercase()] {
        fs::write(folder.join(name), b"x").unwrap();
    }
    fs::write(folder.join(format!("{hash}.trash.1796510252")), b"old").unwrap();
    fs::create_dir(dir.path().join("xyz")).unwrap();
    fs::write(dir.path().join("xyz").join(&hash), b"x").unwrap();
    let listed: Vec<Listed> = store.list("").await.unwrap().try_collect().await.unwrap();
    let states: Vec<BlockState> = listed.iter().map(|listed| listed.state).collect();
    let deadline = SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_510_252);
    assert_eq!(states.len(), 2);
    assert!(states.contains(&BlockState::Live) && states.contains(&BlockState::Trashed(deadline)));
}

#[tokio::test]
async fn a_trashed_block_has_keepstores_name() {
    let (_dir, store) = store().await;
    let block = put(&store, b"content").await;
    let deadline = SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_510_252);
    store.trash(block.hash, deadline, None).await.unwrap();
    assert!(store.0.folder(block.hash).join(format!("{}.trash.1796510252", block.hash)).exists());
}

#[tokio::test]
async fn a_damaged_block_is_named_in_the_error_and_kept_for_the_admin() {
    let (_dir, store) = store().await;
    let block = put(&store, b"content").await;
    fs::write(store.0.block(block.hash), b"c0ntent").unwrap();
    let Err(error) = store.read(block, 0, 0).await else { panic!("it was read") };
    assert!(error.to_string().contains(&block.to_string()), "{error}");
    let aside: Vec<_> = fs::read_dir(store.0.damaged()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(fs::read(&aside[0]).unwrap(), b"c0ntent");
    assert!(aside[0].file_name().unwrap().to_str().unwrap().starts_with(&format!("{}.", block.hash)));
}

/// A block that is large enough for its BLAKE3 to be noted, and where it stands.
async fn large(store: &DirStore) -> (Block, Vec<u8>, PathBuf) {
    let content: Vec<u8> = (0..3 << 20).map(|n: u32| (n >> 7) as u8).collect();
    let block = Block { hash: BlockHash::of(&content), size: content.len() as u32 };
    let mut writer = store.writer().await.unwrap();
    writer.write(content.clone().into()).await.unwrap();
    writer.finish(block, Some(blake3::hash(&content).into())).await.unwrap();
    (block, content, store.0.block(block.hash))
}

async fn read_all(store: &DirStore, block: Block) -> Result<Vec<u8>, StoreError> {
    let parts: Vec<Bytes> = store.read(block, 0, 0).await?.expect("it is there").try_collect().await?;
    Ok(parts.concat())
}

#[tokio::test]
async fn a_large_block_is_checked_by_its_blake3_and_by_its_md5_without_one() {
    let (_dir, store) = store().await;
    let (block, content, path) = large(&store).await;
    let Some(known) = noted::noted(&fs::File::open(&path).unwrap()) else {
        return eprintln!("not tested: temporary files have no extended attributes here");
    };
    assert_eq!(known, *blake3::hash(&content).as_bytes());
    assert_eq!(read_all(&store, block).await.unwrap(), content);
    noted::forget(&fs::File::open(&path).unwrap());
    assert_eq!(read_all(&store, block).await.unwrap(), content);
    for noted in [true, false] {
        let (block, mut wrong, path) = large(&store).await;
        wrong[2_500_000] ^= 1;
        fs::write(&path, wrong).unwrap();
        if !noted {
            noted::forget(&fs::File::open(&path).unwrap());
        }
        assert!(matches!(read_all(&store, block).await, Err(StoreError::Damaged { .. })));
        assert!(!path.exists(), "it is set aside");
    }
}

#[tokio::test]
async fn a_sound_block_outlives_a_wrong_note_of_its_blake3() {
    let (_dir, store) = store().await;
    let (block, content, path) = large(&store).await;
    noted::note(&fs::File::open(&path).unwrap(), &[7; 32]);
    if noted::noted(&fs::File::open(&path).unwrap()).is_none() {
        return eprintln!("not tested: temporary files have no extended attributes here");
    }
    assert!(matches!(read_all(&store, block).await, Err(StoreError::Failed { .. })), "one of the two is wrong");
    assert_eq!(read_all(&store, block).await.unwrap(), content, "it was the note");
}

#[tokio::test]
async fn a_lock_of_a_trashing_keepstore_is_waited_for() {
    let (_dir, store) = store().await;
    let block = put(&store, b"content").await;
    let path = store.0.block(block.hash);
    let held = fs::File::open(&path).unwrap();
    held.lock().unwrap();
    let again = tokio::spawn({
        let store = store.clone();
        async move { put(&store, b"content").await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!again.is_finished());
    // The one who holds the lock trashes the block; the writer finds that out and writes it anew.
    fs::rename(&path, path.with_extension("trash.1796510252")).unwrap();
    drop(held);
    again.await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"content");
}

#[tokio::test]
async fn errors_tell_full_from_unwritable() {
    let dir = tempfile::tempdir().unwrap();
    let options = DirOptions { reserve: u64::MAX, ..DirOptions::default() };
    let store = DirStore::open(dir.path(), Create::IfMissing, options).await.unwrap();
    for content in [&b"small"[..], &[0; 300_000]] {
        let mut writer = store.writer().await.unwrap();
        writer.write(Bytes::from_static(b"x")).await.unwrap();
        let sent = writer.write(Bytes::copy_from_slice(content)).await;
        let block = Block { hash: BlockHash::EMPTY, size: content.len() as u32 + 1 };
        let error = match sent {
            Ok(()) => writer.finish(block, None).await.unwrap_err(),
            Err(error) => error,
        };
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
    }
    let io = |kind: std::io::ErrorKind| store.0.fail("write", dir.path(), kind.into());
    assert!(matches!(io(std::io::ErrorKind::ReadOnlyFilesystem), StoreError::Unwritable { .. }));
    assert!(matches!(io(std::io::ErrorKind::QuotaExceeded), StoreError::Full { .. }));
    assert!(matches!(io(std::io::ErrorKind::TimedOut), StoreError::Io { .. }));
}
