//! What every `Node` must do. An adapter calls [`all`] with a way to make an empty node.

use std::sync::Arc;

use annex_keep::node::{Node, NodeError, Upload};
use annex_keep::stream::{Cutter, MAX_BLOCK};
use annex_protocol::key::Key;
use bytes::Bytes;
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};

type Nodes = Arc<dyn Node>;

/// Tries every promise, each on a node of its own.
pub(crate) async fn all(empty: impl AsyncFn() -> Nodes) {
    what_was_never_stored_is_absent(empty().await).await;
    content_comes_back_from_every_offset(empty().await).await;
    keys_may_have_any_name(empty().await).await;
    content_is_absent_until_the_commit(empty().await).await;
    an_upload_that_broke_off_goes_on(empty().await).await;
    an_upload_can_start_anew(empty().await).await;
    an_aborted_upload_leaves_nothing(empty().await).await;
    uploads_of_one_key_do_not_disturb_each_other(empty().await).await;
    what_is_there_may_be_stored_again(empty().await).await;
    removed_is_absent_and_can_be_stored_again(empty().await).await;
    a_hold_is_given_and_given_back(empty().await).await;
    a_download_under_way_ends_well_or_with_an_error(empty().await).await;
}

fn bytes(size: usize, seed: u8) -> Bytes {
    (0..size).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3] ^ seed).collect()
}

fn key_of(content: &[u8]) -> Key {
    let hash: String = Sha256::digest(content).iter().map(|b| format!("{b:02x}")).collect();
    Key::parse(format!("SHA256-s{}--{hash}", content.len()).as_bytes()).unwrap()
}

/// Sends what a node has not, as the gateway does: cut into blocks, in pieces of an odd size.
async fn send(upload: &mut Box<dyn Upload>, content: &Bytes) -> Result<(), NodeError> {
    let offset = upload.offset();
    upload.announce(content.len() as u64).await?;
    let mut cutter = Cutter::new(MAX_BLOCK, offset);
    let mut left = content.slice(usize::try_from(offset).unwrap()..);
    while !left.is_empty() {
        for piece in cutter.push(left.split_to(left.len().min(77_777))).await {
            upload.piece(piece).await?;
        }
    }
    if let Some(last) = cutter.finish() {
        upload.piece(last).await?;
    }
    Ok(())
}

async fn put(node: &Nodes, key: &Key, content: &Bytes) -> Result<(), NodeError> {
    let mut upload = node.put(key).await?;
    send(&mut upload, content).await?;
    upload.commit().await
}

async fn get(node: &Nodes, key: &Key, offset: u64) -> Option<Vec<u8>> {
    let content = node.get(key, offset).await.unwrap()?;
    let read = content.stream.try_collect::<Vec<Bytes>>().await.unwrap().concat();
    assert_eq!(content.size.saturating_sub(offset), read.len() as u64, "{key} from {offset}");
    Some(read)
}

async fn what_was_never_stored_is_absent(node: Nodes) {
    let key = key_of(b"never");
    assert!(!node.present(&key).await.unwrap());
    assert!(node.get(&key, 0).await.unwrap().is_none());
    assert!(node.lock(&key).await.unwrap().is_none());
    node.remove(&key).await.unwrap();
}

async fn content_comes_back_from_every_offset(node: Nodes) {
    for size in [0, 1, 4096, 262_144, 1_048_576, 1_048_577, 5_000_000] {
        let content = bytes(size, 1);
        let key = key_of(&content);
        put(&node, &key, &content).await.unwrap();
        assert!(node.present(&key).await.unwrap(), "{size}");
        for from in [0, 1, size / 2, size.saturating_sub(1), size] {
            let from = from.min(size);
            assert!(get(&node, &key, from as u64).await.unwrap() == content[from..], "{size} from {from}");
        }
    }
}

async fn keys_may_have_any_name(node: Nodes) {
    let names: [&[u8]; 6] = [
        b"URL--http://example.org/a%b&c:d",
        b"WORM-s4-m1--..",
        "SHA256E-s4--x.\u{fc}".as_bytes(),
        b"WORM-s4--\xff\xfe name",
        b"URL--yes",
        b"SHA256-s4-S2-C1--not-a-chunk-of-anything",
    ];
    let names = names.map(|name| Key::parse(name).unwrap());
    for key in &names {
        let content = if key.chunk().is_some() { bytes(2, 2) } else { bytes(4, 2) };
        put(&node, key, &content).await.unwrap();
        assert_eq!(get(&node, key, 0).await.unwrap(), content, "{key}");
    }
    for (at, key) in names.iter().enumerate() {
        node.remove(key).await.unwrap();
        for (other, key) in names.iter().enumerate() {
            assert_eq!(node.present(key).await.unwrap(), other > at, "{key}");
        }
    }
}

async fn content_is_absent_until_the_commit(node: Nodes) {
    let content = bytes(3_000_000, 3);
    let key = key_of(&content);
    let mut upload = node.put(&key).await.unwrap();
    send(&mut upload, &content).await.unwrap();
    assert!(!node.present(&key).await.unwrap());
    assert!(node.get(&key, 0).await.unwrap().is_none());
    upload.commit().await.unwrap();
    assert!(node.present(&key).await.unwrap());
}

async fn an_upload_that_broke_off_goes_on(node: Nodes) {
    let content = bytes(5_000_000, 4);
    let key = key_of(&content);
    for end in [1_000_000, 1_048_576, 3_500_000, 5_000_000] {
        let mut upload = node.put(&key).await.unwrap();
        send(&mut upload, &content.slice(..end)).await.unwrap();
        upload.suspend().await.unwrap();
        assert!(!node.present(&key).await.unwrap());
        let upload = node.put(&key).await.unwrap();
        let offset = usize::try_from(upload.offset()).unwrap();
        assert!(offset <= end);
        let kept = upload.kept().await.unwrap().try_collect::<Vec<Bytes>>().await.unwrap().concat();
        assert!(kept == content[..offset], "{end}");
        upload.suspend().await.unwrap();
    }
    put(&node, &key, &content).await.unwrap();
    assert!(get(&node, &key, 0).await.unwrap() == content);
}

async fn an_upload_can_start_anew(node: Nodes) {
    let content = bytes(2_500_000, 5);
    let key = key_of(&content);
    let mut upload = node.put(&key).await.unwrap();
    send(&mut upload, &bytes(1_500_000, 9)).await.unwrap();
    upload.suspend().await.unwrap();
    let mut upload = node.put(&key).await.unwrap();
    upload.restart().await.unwrap();
    assert_eq!(upload.offset(), 0);
    send(&mut upload, &content).await.unwrap();
    upload.commit().await.unwrap();
    assert!(get(&node, &key, 0).await.unwrap() == content);
}

async fn an_aborted_upload_leaves_nothing(node: Nodes) {
    let content = bytes(2_500_000, 6);
    let key = key_of(&content);
    let mut upload = node.put(&key).await.unwrap();
    send(&mut upload, &content.slice(..2_000_000)).await.unwrap();
    upload.abort().await.unwrap();
    assert!(!node.present(&key).await.unwrap());
    let upload = node.put(&key).await.unwrap();
    assert_eq!(upload.offset(), 0);
    upload.abort().await.unwrap();
}

/// For nodes that know by the key's size when a commit comes too early; the gateway, which hashes all, never does that.
pub(crate) async fn a_short_upload_is_not_the_content(node: Nodes) {
    let content = bytes(2_500_000, 7);
    let key = key_of(&content);
    let mut upload = node.put(&key).await.unwrap();
    send(&mut upload, &content.slice(..2_000_000)).await.unwrap();
    upload.commit().await.unwrap_err();
    assert!(!node.present(&key).await.unwrap());
}

async fn uploads_of_one_key_do_not_disturb_each_other(node: Nodes) {
    let content = bytes(3_000_000, 8);
    let key = key_of(&content);
    let mut first = node.put(&key).await.unwrap();
    send(&mut first, &content.slice(..1_500_000)).await.unwrap();
    let others = (0..4).map(|_| put(&node, &key, &content));
    for done in futures_util::future::join_all(others).await {
        done.unwrap();
    }
    assert!(get(&node, &key, 0).await.unwrap() == content);
    first.suspend().await.unwrap();
    assert!(get(&node, &key, 0).await.unwrap() == content);
}

async fn what_is_there_may_be_stored_again(node: Nodes) {
    let content = bytes(1_500_000, 10);
    let key = key_of(&content);
    put(&node, &key, &content).await.unwrap();
    put(&node, &key, &content).await.unwrap();
    assert!(get(&node, &key, 0).await.unwrap() == content);
}

async fn removed_is_absent_and_can_be_stored_again(node: Nodes) {
    let content = bytes(2_500_000, 11);
    let key = key_of(&content);
    for _ in 0..2 {
        put(&node, &key, &content).await.unwrap();
        assert!(node.present(&key).await.unwrap());
        node.remove(&key).await.unwrap();
        assert!(!node.present(&key).await.unwrap());
        assert!(node.get(&key, 0).await.unwrap().is_none());
        node.remove(&key).await.unwrap();
    }
}

async fn a_hold_is_given_and_given_back(node: Nodes) {
    let content = bytes(1000, 12);
    let key = key_of(&content);
    put(&node, &key, &content).await.unwrap();
    let mut first = node.lock(&key).await.unwrap().unwrap();
    let second = node.lock(&key).await.unwrap().unwrap();
    first.renew().await.unwrap();
    assert!(node.present(&key).await.unwrap());
    first.release().await.unwrap();
    second.release().await.unwrap();
    assert!(get(&node, &key, 0).await.unwrap() == content);
}

async fn a_download_under_way_ends_well_or_with_an_error(node: Nodes) {
    let content = bytes(20_000_000, 13);
    let key = key_of(&content);
    put(&node, &key, &content).await.unwrap();
    let mut download = node.get(&key, 0).await.unwrap().unwrap().stream;
    let mut read = download.try_next().await.unwrap().unwrap().to_vec();
    node.remove(&key).await.unwrap();
    while let Ok(Some(bytes)) = download.try_next().await {
        read.extend_from_slice(&bytes);
    }
    assert!(content.starts_with(&read));
}
