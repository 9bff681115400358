//! Blocks that are not what their name says.

use std::os::unix::fs::PermissionsExt;

use annex_protocol::keep::BlockHash;
use keep_store::entries::{KeepError, KeepStore};
use keep_store::store::StoreError;
use keep_store::store::dir::Create;

use super::*;

/// Two contents with the same MD5 (Wang and Yu's kind of collision; 64 bytes by Marc Stevens).
const COLLISION: [&str; 2] = [
    "4dc968ff0ee35c209572d4777b721587d36fa7b21bdc56b74a3dc0783e7b9518afbfa200a8284bf36e8e4b55b35f427593d849676da0d1555d8360fb5f07fea2",
    "4dc968ff0ee35c209572d4777b721587d36fa7b21bdc56b74a3dc0783e7b9518afbfa202a8284bf36e8e4b55b35f427593d849676da0d1d55d8360fb5f07fea2",
];

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn damaged_files(fixture: &Fixture) -> usize {
    std::fs::read_dir(fixture.dir.path().join(".annex-keep/damaged")).unwrap().count()
}

/// The file of the block that `content` is.
fn file_of(fixture: &Fixture, content: &[u8]) -> PathBuf {
    let hash = BlockHash::of(content).to_string();
    fixture.dir.path().join(&hash[..3]).join(hash)
}

#[tokio::test]
async fn a_changed_byte_is_never_given_out_as_good_and_an_upload_repairs_it() {
    let fixture = Fixture::new().await;
    let content = noise(2500, 1);
    fixture.put(b"a", &content).await;
    fixture.put(b"b", &content[1000..2000]).await;
    let file = file_of(&fixture, &content[1000..2000]);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[999] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    // Sizes are right: only reading can tell.
    assert!(fixture.store.present(OWNER, b"a").await.unwrap());

    let read = fixture.store.read(OWNER, b"a", 0).await.unwrap().unwrap();
    let mut stream = read.stream;
    let mut got = Vec::new();
    let error = loop {
        match stream.try_next().await {
            Ok(bytes) => got.extend_from_slice(&bytes.expect("an error comes before the end")),
            Err(error) => break error,
        }
    };
    assert_eq!(got, content[..1000], "nothing of the bad block left");
    assert!(error.to_string().contains(&BlockHash::of(&content[1000..2000]).to_string()), "{error}");

    assert!(!file.exists());
    assert_eq!(damaged_files(&fixture), 1);
    assert!(!fixture.store.present(OWNER, b"a").await.unwrap());
    assert!(!fixture.store.present(OWNER, b"b").await.unwrap());
    assert!(fixture.store.read(OWNER, b"b", 0).await.unwrap().is_none());
    assert!(fixture.store.read(OWNER, b"a", 2000).await.unwrap().is_some(), "the part behind is sound");

    fixture.put(b"b", &content[1000..2000]).await;
    assert!(fixture.get(b"a").await.unwrap() == content, "and a is whole again");
}

#[tokio::test]
async fn an_upload_replaces_a_damaged_block_that_nobody_has_read() {
    let fixture = Fixture::new().await;
    let content = noise(1000, 1);
    fixture.put(b"a", &content).await;
    for bad in [&noise(1000, 2)[..], &content[..500], b""] {
        std::fs::write(file_of(&fixture, &content), bad).unwrap();
        fixture.put(b"b", &content).await;
        assert!(fixture.get(b"a").await.unwrap() == content);
    }
    assert!(damaged_files(&fixture) >= 1);
}

#[tokio::test]
async fn a_truncated_block_is_absent_at_once() {
    let fixture = Fixture::new().await;
    let content = noise(1000, 1);
    fixture.put(b"a", &content).await;
    std::fs::write(file_of(&fixture, &content), &content[..999]).unwrap();
    assert!(!fixture.store.present(OWNER, b"a").await.unwrap());
    assert!(fixture.store.read(OWNER, b"a", 0).await.unwrap().is_none());
    fixture.put(b"a", &content).await;
    assert!(fixture.get(b"a").await.unwrap() == content);
}

#[tokio::test]
async fn another_content_with_the_same_md5_is_refused() {
    let fixture = Fixture::new().await;
    let [first, second] = COLLISION.map(unhex);
    assert!(first != second);
    assert_eq!(BlockHash::of(&first), BlockHash::of(&second));
    fixture.put(b"a", &first).await;
    let mut upload = fixture.store.write(OWNER, b"b").await.unwrap();
    push(&mut upload, &second).await;
    let refused = upload.commit().await;
    assert!(matches!(refused, Err(KeepError::Store(StoreError::Collision { .. }))), "{refused:?}");
    assert!(fixture.get(b"a").await.unwrap() == first);
    assert!(!fixture.store.present(OWNER, b"b").await.unwrap());
    assert_eq!((fixture.blocks().len(), damaged_files(&fixture)), (2, 0), "the manifest of b did not stay");
}

#[tokio::test]
async fn an_equal_block_is_touched_when_it_is_relied_on() {
    let fixture = Fixture::new().await;
    let content = noise(100, 1);
    fixture.put(b"a", &content).await;
    let file = file_of(&fixture, &content);
    fixture.clock.advance(Duration::from_secs(1_000_000));
    fixture.put(b"b", &content).await;
    assert_eq!(file.metadata().unwrap().modified().unwrap(), fixture.clock.wall());
}

#[tokio::test]
async fn files_and_folders_have_keepstores_modes_and_nothing_temporary_stays() {
    let fixture = Fixture::new().await;
    fixture.put(b"a", &noise(300_000, 1)).await;
    for block in fixture.blocks() {
        assert_eq!(block.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(block.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o755);
    }
    let own = fixture.dir.path().join(".annex-keep");
    assert_eq!(own.join("signing-key").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(own.join("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn blocks_of_a_keepstore_are_shared_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let content = noise(1000, 1);
    let hash = BlockHash::of(&content).to_string();
    std::fs::create_dir(dir.path().join(&hash[..3])).unwrap();
    std::fs::write(dir.path().join(&hash[..3]).join(&hash), &content).unwrap();
    std::fs::write(dir.path().join(&hash[..3]).join(format!("tmp{hash}123")), b"half").unwrap();
    std::fs::create_dir(dir.path().join("lost+found")).unwrap();
    let opened = KeepStore::open(dir.path(), Create::Never, small_blocks()).await;
    assert!(matches!(opened, Err(KeepError::Store(StoreError::Missing { .. }))));
    let store = KeepStore::open(dir.path(), Create::IfMissing, small_blocks()).await.unwrap();
    assert_eq!(store.status().await.unwrap().blocks, 1);
    // An upload that is given up must not take a block along that was there before.
    let mut upload = store.write(OWNER, b"a").await.unwrap();
    push(&mut upload, &[&content[..], b"more"].concat()).await;
    upload.abort().await.unwrap();
    assert_eq!(store.status().await.unwrap().blocks, 1);
    put(&store, OWNER, b"a", &content).await;
    assert_eq!(store.status().await.unwrap().blocks, 2, "the content was there, only the manifest is new");
}
