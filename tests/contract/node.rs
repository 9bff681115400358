//! What every `Node` must do. An adapter calls [`all`] with a way to make an empty node.

use std::sync::Arc;

use annex_keep::node::{Node, Upload};
use annex_keep::stream::{Cutter, MAX_BLOCK};
use annex_protocol::hash::Hasher;
use annex_protocol::key::Key;
use bytes::Bytes;
use futures_util::TryStreamExt;

type Place = Arc<dyn Node>;

/// Tries every promise, each on a node of its own.
pub(crate) async fn all(empty: impl AsyncFn() -> Place) {
    content_comes_back_from_every_offset(empty().await).await;
    what_is_absent_is_absent(empty().await).await;
    a_key_without_bytes_is_a_key(empty().await).await;
    keys_have_any_names(empty().await).await;
    many_small_pieces_are_one_content(empty().await).await;
    nothing_counts_before_commit(empty().await).await;
    an_upload_goes_on_where_it_says(empty().await).await;
    a_restarted_upload_begins_at_the_beginning(empty().await).await;
    several_uploads_of_one_key_do_no_harm(empty().await).await;
    a_key_can_be_stored_again(empty().await).await;
    a_lock_needs_content(empty().await).await;
}

fn bytes(size: usize, seed: u8) -> Vec<u8> {
    (0..size).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3] ^ seed).collect()
}

fn key(content: &[u8]) -> Key {
    let mut hasher = Hasher::for_backend(b"SHA256").unwrap();
    hasher.update(content);
    Key::parse(format!("SHA256-s{}--{}", content.len(), hasher.finish()).as_bytes()).unwrap()
}

/// Sends content from the upload's offset on, in pieces of the given size.
async fn send(upload: &mut Box<dyn Upload>, content: &[u8], end: usize, size: usize) {
    let offset = upload.offset();
    let mut cutter = Cutter::new(MAX_BLOCK, offset);
    upload.announce(content.len() as u64).await.unwrap();
    for part in content[offset as usize..end].chunks(size) {
        for piece in cutter.push(Bytes::copy_from_slice(part)).await {
            upload.piece(piece).await.unwrap();
        }
    }
    if let Some(piece) = cutter.finish() {
        upload.piece(piece).await.unwrap();
    }
}

async fn put(node: &Place, key: &Key, content: &[u8]) {
    let mut upload = node.put(key).await.unwrap();
    send(&mut upload, content, content.len(), 100_000).await;
    upload.commit().await.unwrap();
}

async fn get(node: &Place, key: &Key, offset: u64) -> Option<Vec<u8>> {
    let content = node.get(key, offset).await.unwrap()?;
    Some(content.stream.try_collect::<Vec<Bytes>>().await.unwrap().concat())
}

async fn content_comes_back_from_every_offset(node: Place) {
    for size in [1, 1000, 262_144, 262_145, 1_000_000] {
        let content = bytes(size, 1);
        let key = key(&content);
        put(&node, &key, &content).await;
        assert!(node.present(&key).await.unwrap());
        for offset in [0, 1, size / 2, size - 1, size] {
            let found = node.get(&key, offset as u64).await.unwrap().unwrap();
            assert_eq!(found.size, size as u64);
            let read = found.stream.try_collect::<Vec<Bytes>>().await.unwrap().concat();
            assert!(read == content[offset..], "{size} from {offset}");
        }
        node.remove(&key).await.unwrap();
        assert!(!node.present(&key).await.unwrap());
        assert!(get(&node, &key, 0).await.is_none());
    }
}

async fn what_is_absent_is_absent(node: Place) {
    let key = key(b"absent");
    assert!(!node.present(&key).await.unwrap());
    assert!(node.get(&key, 0).await.unwrap().is_none());
    assert!(node.get(&key, 3).await.unwrap().is_none());
    node.remove(&key).await.unwrap();
    assert!(node.lock(&key).await.unwrap().is_none());
}

async fn a_key_without_bytes_is_a_key(node: Place) {
    let key = key(b"");
    put(&node, &key, b"").await;
    assert!(node.present(&key).await.unwrap());
    assert_eq!(get(&node, &key, 0).await.unwrap(), b"");
    node.remove(&key).await.unwrap();
    assert!(!node.present(&key).await.unwrap());
}

async fn keys_have_any_names(node: Place) {
    let content = b"12345";
    for name in ["WORM-s5-m1--a/b", "WORM-s5-m1--a&%b:c", "URL--http&c%%example.org%x", "WORM-s5-m1--\u{e4}$(x)'\"\\"] {
        let key = Key::parse(name.as_bytes()).unwrap();
        put(&node, &key, content).await;
        assert!(node.present(&key).await.unwrap(), "{name}");
        assert_eq!(get(&node, &key, 2).await.unwrap(), b"345", "{name}");
        node.remove(&key).await.unwrap();
        assert!(!node.present(&key).await.unwrap(), "{name}");
    }
}

async fn many_small_pieces_are_one_content(node: Place) {
    let content = bytes(50_000, 2);
    let key = key(&content);
    let mut upload = node.put(&key).await.unwrap();
    send(&mut upload, &content, content.len(), 7).await;
    upload.commit().await.unwrap();
    assert!(get(&node, &key, 0).await.unwrap() == content);
}

async fn nothing_counts_before_commit(node: Place) {
    let content = bytes(300_000, 3);
    let key = key(&content);
    for end in ["abort", "drop", "suspend"] {
        let mut upload = node.put(&key).await.unwrap();
        send(&mut upload, &content, 200_000, 50_000).await;
        assert!(!node.present(&key).await.unwrap());
        match end {
            "abort" => upload.abort().await.unwrap(),
            "suspend" => upload.suspend().await.unwrap(),
            _ => drop(upload),
        }
        assert!(!node.present(&key).await.unwrap(), "after {end}");
        assert!(get(&node, &key, 0).await.is_none(), "after {end}");
    }
}

async fn an_upload_goes_on_where_it_says(node: Place) {
    let content = bytes(400_000, 4);
    let key = key(&content);
    for end in [100_000, 250_000] {
        let mut upload = node.put(&key).await.unwrap();
        send(&mut upload, &content, end, 50_000).await;
        upload.suspend().await.unwrap();
    }
    let mut upload = node.put(&key).await.unwrap();
    let offset = upload.offset() as usize;
    assert!(offset <= 250_000);
    if offset > 0 {
        let kept = upload.kept().await.unwrap().try_collect::<Vec<Bytes>>().await.unwrap().concat();
        assert!(kept[..offset] == content[..offset]);
    }
    send(&mut upload, &content, content.len(), 50_000).await;
    upload.commit().await.unwrap();
    assert!(get(&node, &key, 0).await.unwrap() == content);
}

async fn a_restarted_upload_begins_at_the_beginning(node: Place) {
    let content = bytes(400_000, 5);
    let key = key(&content);
    let mut upload = node.put(&key).await.unwrap();
    send(&mut upload, &bytes(400_000, 6), 200_000, 50_000).await;
    upload.suspend().await.unwrap();
    let mut upload = node.put(&key).await.unwrap();
    upload.restart().await.unwrap();
    assert_eq!(upload.offset(), 0);
    send(&mut upload, &content, content.len(), 50_000).await;
    upload.commit().await.unwrap();
    assert!(get(&node, &key, 0).await.unwrap() == content);
}

async fn several_uploads_of_one_key_do_no_harm(node: Place) {
    let content = bytes(300_000, 7);
    let key = key(&content);
    futures_util::future::join_all((0..5).map(|_| put(&node, &key, &content))).await;
    assert!(get(&node, &key, 0).await.unwrap() == content);
}

async fn a_key_can_be_stored_again(node: Place) {
    let content = bytes(100_000, 8);
    let key = key(&content);
    put(&node, &key, &content).await;
    put(&node, &key, &content).await;
    assert!(get(&node, &key, 0).await.unwrap() == content);
}

async fn a_lock_needs_content(node: Place) {
    let content = bytes(1000, 9);
    let key = key(&content);
    assert!(node.lock(&key).await.unwrap().is_none());
    put(&node, &key, &content).await;
    let mut hold = node.lock(&key).await.unwrap().unwrap();
    hold.renew().await.unwrap();
    hold.release().await.unwrap();
    node.remove(&key).await.unwrap();
    assert!(!node.present(&key).await.unwrap());
}
