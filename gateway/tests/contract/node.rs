//! What every `Node` must do. An adapter calls [`suite`] with a way to make an empty node.

use std::sync::Arc;
use std::time::{Duration, Instant};

use annex_gateway::node::{Incoming, Node, NodeError, Onward, Pieces};
use annex_protocol::hash::Hasher;
use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use keep_store::base::stream::{Cutter, MAX_BLOCK};

/// A node as the gateway has it.
pub(crate) type AnyNode = Arc<dyn Node>;

/// What an adapter cannot help.
#[derive(Default)]
pub(crate) struct Allow {
    /// A server may keep what came of an aborted upload until the next one has failed.
    pub(crate) a_failure_after_an_abort: bool,
    /// The protocol of special remotes cannot carry keys with spaces.
    pub(crate) no_spaces_in_keys: bool,
    /// A web address cannot carry names with the parts `.` and `..`, or with empty ones.
    pub(crate) no_dots_in_keys: bool,
}

/// Tries every promise, each on a node of its own.
pub(crate) async fn suite(allow: Allow, empty: impl AsyncFn() -> AnyNode) {
    an_absent_key_is_absent(empty().await).await;
    content_comes_back_from_every_offset_until_removed(empty().await).await;
    empty_content_is_content(empty().await).await;
    keys_may_have_any_name(&allow, empty().await).await;
    many_small_pieces_are_one_content(empty().await).await;
    a_suspended_upload_goes_on(empty().await).await;
    an_upload_that_stopped_before_its_first_byte_does_no_harm(empty().await).await;
    an_aborted_upload_leaves_room_for_the_next(&allow, empty().await).await;
    content_that_is_short_is_never_present(empty().await).await;
    uploads_of_one_key_at_once_all_succeed(empty().await).await;
    a_download_may_be_dropped(empty().await).await;
    a_lock_can_be_renewed_and_released(empty().await).await;
    what_was_set_aside_is_gone_and_can_be_stored_again(empty().await).await;
    whoever_came_through_other_gateways_finds_the_same(empty().await).await;
    what_is_stored_counts_where_it_is_counted(empty().await).await;
}

/// Bytes that repeat nowhere near.
pub(crate) fn bytes(size: usize, seed: u8) -> Vec<u8> {
    (0..size).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3] ^ seed).collect()
}

/// The key of a content.
pub(crate) fn key_of(content: &[u8]) -> Key {
    let mut hasher = Hasher::for_backend(b"SHA256E").unwrap();
    hasher.update(content);
    Key::parse(format!("SHA256E-s{}--{}.dat", content.len(), hasher.finish()).as_bytes()).unwrap()
}

/// Starts an upload on a node that takes pieces.
pub(crate) async fn start(node: &AnyNode, key: &Key) -> Result<Pieces, NodeError> {
    match node.put(key, &AssociatedFile::default()).await? {
        Incoming::Pieces(pieces) => Ok(pieces),
        Incoming::WholeFile(_) => panic!("it takes only complete files"),
    }
}

/// Sends content to an upload as the gateway does, from where it wants to go on up to `end`, in pieces.
pub(crate) async fn send(
    Pieces { upload, kept, .. }: &mut Pieces,
    content: &[u8],
    end: usize,
    piece: usize,
) -> Result<(), NodeError> {
    let offset = *kept;
    if offset > 0 {
        let kept: Vec<Bytes> = upload.kept().await?.try_collect().await.unwrap();
        assert_eq!(kept.concat()[..offset as usize], content[..offset as usize], "what was kept");
    }
    upload.announce(content.len() as u64).await?;
    let mut cutter = Cutter::new(MAX_BLOCK, offset);
    for part in content.get(offset as usize..end).unwrap_or_default().chunks(piece) {
        for piece in cutter.push(Bytes::copy_from_slice(part)).await {
            upload.piece(piece).await?;
        }
    }
    if let Some(cut) = cutter.finish() {
        upload.piece(cut).await?;
    }
    Ok(())
}

/// Stores content.
pub(crate) async fn put(node: &AnyNode, key: &Key, content: &[u8]) -> Result<(), NodeError> {
    let mut pieces = start(node, key).await?;
    send(&mut pieces, content, content.len(), 100_000).await?;
    pieces.upload.commit().await.map(drop)
}

/// Returns a key's content from an offset on.
pub(crate) async fn get(node: &AnyNode, key: &Key, offset: u64) -> Option<(u64, Vec<u8>)> {
    let content = node.get(key, offset).await.unwrap()?;
    let bytes: Vec<Bytes> = content.stream.try_collect().await.unwrap();
    Some((content.size, bytes.concat()))
}

/// Removes a key that was locked until a moment ago: a server may hear of the lock's end a little later.
pub(crate) async fn remove_soon(node: &AnyNode, key: &Key) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(error) = node.remove(key).await {
        assert!(Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn an_absent_key_is_absent(node: AnyNode) {
    let key = key_of(b"nobody has this");
    assert!(!node.present(&key).await.unwrap());
    assert!(get(&node, &key, 0).await.is_none());
    assert!(get(&node, &key, 3).await.is_none());
    assert!(node.lock(&key).await.unwrap().is_none());
    node.remove(&key).await.unwrap();
    assert!(!node.present(&key).await.unwrap());
}

async fn content_comes_back_from_every_offset_until_removed(node: AnyNode) {
    let content = bytes(1_300_000, 1);
    let (key, size) = (key_of(&content), content.len() as u64);
    put(&node, &key, &content).await.unwrap();
    assert!(node.present(&key).await.unwrap());
    for offset in [0, 1, 4096, size / 2, size - 1, size] {
        let got = get(&node, &key, offset).await;
        assert!(got == Some((size, content[offset as usize..].to_vec())), "from {offset}");
    }
    // Once more: the content is there already.
    put(&node, &key, &content).await.unwrap();
    node.remove(&key).await.unwrap();
    assert!(!node.present(&key).await.unwrap());
    assert!(get(&node, &key, 0).await.is_none());
    node.remove(&key).await.unwrap();
}

async fn empty_content_is_content(node: AnyNode) {
    let key = key_of(b"");
    put(&node, &key, b"").await.unwrap();
    assert!(node.present(&key).await.unwrap());
    assert_eq!(get(&node, &key, 0).await, Some((0, Vec::new())));
    node.remove(&key).await.unwrap();
    assert!(!node.present(&key).await.unwrap());
}

async fn keys_may_have_any_name(allow: &Allow, node: AnyNode) {
    for name in [
        "WORM-s5-m1700000000--a b c",
        "WORM-s5--per%cent&amp:colon",
        "WORM-s5--dir/sub/../name",
        "WORM-s5--[brackets]",
        "WORM-s5--gr\u{fc}n \u{2603}+?#=",
        "URL--http&c%%example.org%x",
    ] {
        let key = Key::parse(name.as_bytes()).unwrap();
        let refused = allow.no_spaces_in_keys && name.contains(' ') || allow.no_dots_in_keys && name.contains("/../");
        if refused {
            assert!(!node.present(&key).await.is_ok_and(|present| present), "{name}");
            put(&node, &key, b"hello").await.unwrap_err();
            continue;
        }
        put(&node, &key, b"hello").await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(node.present(&key).await.unwrap(), "{name}");
        assert_eq!(get(&node, &key, 2).await, Some((5, b"llo".to_vec())), "{name}");
        node.remove(&key).await.unwrap();
        assert!(!node.present(&key).await.unwrap(), "{name}");
    }
}

async fn many_small_pieces_are_one_content(node: AnyNode) {
    let content = bytes(200_001, 2);
    let key = key_of(&content);
    let mut pieces = start(&node, &key).await.unwrap();
    send(&mut pieces, &content, content.len(), 97).await.unwrap();
    assert!(!node.present(&key).await.unwrap(), "before the commit");
    pieces.upload.commit().await.unwrap();
    assert!(get(&node, &key, 0).await == Some((content.len() as u64, content)));
}

async fn a_suspended_upload_goes_on(node: AnyNode) {
    let content = bytes(900_000, 3);
    let key = key_of(&content);
    for end in [300_000, 600_000, content.len()] {
        let mut pieces = start(&node, &key).await.unwrap();
        send(&mut pieces, &content, end, 50_000).await.unwrap();
        pieces.upload.suspend().await.unwrap();
        assert!(!node.present(&key).await.unwrap(), "after {end}");
        assert!(get(&node, &key, 0).await.is_none(), "after {end}");
    }
    put(&node, &key, &content).await.unwrap();
    assert!(get(&node, &key, 0).await == Some((content.len() as u64, content)));
}

async fn an_upload_that_stopped_before_its_first_byte_does_no_harm(node: AnyNode) {
    let content = bytes(1000, 4);
    let key = key_of(&content);
    start(&node, &key).await.unwrap().upload.suspend().await.unwrap();
    start(&node, &key).await.unwrap().upload.abort().await.unwrap();
    drop(start(&node, &key).await.unwrap());
    assert!(!node.present(&key).await.unwrap());
    put(&node, &key, &content).await.unwrap();
    assert!(get(&node, &key, 0).await == Some((1000, content)));
}

async fn an_aborted_upload_leaves_room_for_the_next(allow: &Allow, node: AnyNode) {
    let content = bytes(400_000, 5);
    let key = key_of(&content);
    // What is not the key's content, and what is, but is not wanted after all.
    for sent in [bytes(400_000, 6), content.clone()] {
        let mut pieces = start(&node, &key).await.unwrap();
        send(&mut pieces, &sent, sent.len(), 50_000).await.unwrap();
        pieces.upload.abort().await.unwrap();
        assert!(!node.present(&key).await.unwrap());
    }
    let first = put(&node, &key, &content).await;
    if first.is_err() && allow.a_failure_after_an_abort {
        assert!(!node.present(&key).await.unwrap());
        put(&node, &key, &content).await.unwrap();
    } else {
        first.unwrap();
    }
    assert!(get(&node, &key, 0).await == Some((400_000, content)));
}

async fn content_that_is_short_is_never_present(node: AnyNode) {
    let content = bytes(300_000, 7);
    let key = key_of(&content);
    let mut pieces = start(&node, &key).await.unwrap();
    send(&mut pieces, &content, 200_000, 50_000).await.unwrap();
    drop(pieces);
    assert!(!node.present(&key).await.unwrap());
}

async fn uploads_of_one_key_at_once_all_succeed(node: AnyNode) {
    let content = bytes(500_000, 8);
    let key = key_of(&content);
    let mut uploads = Vec::new();
    for _ in 0..4 {
        let mut pieces = start(&node, &key).await.unwrap();
        pieces.upload.announce(content.len() as u64).await.unwrap();
        uploads.push(pieces);
    }
    let mut running = Vec::new();
    for mut pieces in uploads {
        let content = content.clone();
        running.push(tokio::spawn(async move {
            send(&mut pieces, &content, content.len(), 30_000).await?;
            pieces.upload.commit().await
        }));
    }
    for upload in running {
        upload.await.unwrap().unwrap();
    }
    assert!(get(&node, &key, 0).await == Some((500_000, content)));
}

async fn a_download_may_be_dropped(node: AnyNode) {
    let content = bytes(3_000_000, 9);
    let key = key_of(&content);
    put(&node, &key, &content).await.unwrap();
    for _ in 0..3 {
        let mut stream = node.get(&key, 10).await.unwrap().unwrap().stream;
        assert!(!stream.next().await.unwrap().unwrap().is_empty());
    }
    assert!(get(&node, &key, 2_999_990).await.unwrap().1 == content[2_999_990..]);
}

async fn a_lock_can_be_renewed_and_released(node: AnyNode) {
    let content = bytes(1000, 10);
    let key = key_of(&content);
    put(&node, &key, &content).await.unwrap();
    let mut first = node.lock(&key).await.unwrap().unwrap();
    let second = node.lock(&key).await.unwrap().unwrap();
    first.renew().await.unwrap();
    second.release().await.unwrap();
    assert!(node.present(&key).await.unwrap());
    first.release().await.unwrap();
    remove_soon(&node, &key).await;
    assert!(!node.present(&key).await.unwrap());
}

async fn what_was_set_aside_is_gone_and_can_be_stored_again(node: AnyNode) {
    let content = bytes(1000, 11);
    let key = key_of(&content);
    node.set_aside(&key).await.unwrap();
    put(&node, &key, &content).await.unwrap();
    node.set_aside(&key).await.unwrap();
    assert!(!node.present(&key).await.unwrap());
    assert!(get(&node, &key, 0).await.is_none());
    put(&node, &key, &content).await.unwrap();
    assert!(get(&node, &key, 0).await == Some((1000, content)));
}

async fn whoever_came_through_other_gateways_finds_the_same(node: AnyNode) {
    let content = bytes(1000, 12);
    let key = key_of(&content);
    put(&node, &key, &content).await.unwrap();
    let stranger = Uuid::parse(b"77777777-7777-4777-8777-777777777777").unwrap();
    let node = match node.onward(&[stranger].into()) {
        Onward::AsIs => node,
        Onward::By(other) => other,
        Onward::LeadsBack => panic!("it does not lead to a stranger"),
    };
    assert!(get(&node, &key, 0).await == Some((1000, content)));
    node.remove(&key).await.unwrap();
    assert!(!node.present(&key).await.unwrap());
}

async fn what_is_stored_counts_where_it_is_counted(node: AnyNode) {
    let before = node.capacity().await.unwrap();
    assert!(before.space.is_none_or(|space| space.free <= space.total));
    let content = bytes(1000, 13);
    put(&node, &key_of(&content), &content).await.unwrap();
    let after = node.capacity().await.unwrap();
    assert_eq!(after.held, before.held.map(|held| held + 1000));
}
