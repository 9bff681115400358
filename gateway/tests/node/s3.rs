//! Nodes in the layout of git-annex's S3 special remote, on a real server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use annex_gateway::node::s3::{PART_BYTES, S3Node};
use annex_gateway::node::{Node, NodeError};
use annex_protocol::key::Key;
use bytes::Bytes;
use futures_util::TryStreamExt;

use crate::contract::{self, bytes, get, key_of, put, send, start};
use crate::moto::{self, Moto};

fn node(moto: &Moto, prefix: &str, chunk: Option<u64>) -> Arc<dyn Node> {
    Arc::new(S3Node::new(moto.open(prefix), chunk, PART_BYTES))
}

/// How many uploads in parts are neither complete nor aborted.
async fn unfinished(moto: &Moto) -> usize {
    moto.ask("?uploads").await.matches("<UploadId>").count()
}

async fn keeps_its_promises(chunk: Option<u64>) {
    let moto = Moto::bucket().await;
    let number = AtomicU32::new(0);
    let allow = contract::Allow { no_dots_in_keys: true, ..contract::Allow::default() };
    contract::suite(allow, async || node(&moto, &format!("{}/", number.fetch_add(1, Ordering::Relaxed)), chunk)).await;
    settled(&moto).await;
}

/// Waits until nothing is left of uploads that were dropped.
async fn settled(moto: &Moto) {
    let start = Instant::now();
    while unfinished(moto).await > 0 {
        assert!(start.elapsed() < Duration::from_secs(30), "parts of an upload are left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_keeps_the_promises_of_a_node() {
    keeps_its_promises(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_with_chunks_keeps_the_promises_of_a_node() {
    keeps_its_promises(Some(100_000)).await;
}

#[tokio::test]
async fn a_commit_that_comes_too_early_is_refused() {
    let moto = Moto::bucket().await;
    for chunk in [None, Some(1 << 20)] {
        crate::short::a_short_upload_is_not_the_content(node(&moto, "", chunk)).await;
    }
    assert_eq!((moto.names().await.len(), unfinished(&moto).await), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_content_goes_in_parts_and_is_one_object_at_its_end() {
    let moto = Moto::bucket().await;
    let node = node(&moto, "a-", None);
    // Two parts and a bit, and two parts to the byte.
    for size in [17_000_000, 16 << 20] {
        let content = bytes(size, 1);
        let key = key_of(&content);
        let mut pieces = start(&node, &key).await.unwrap();
        send(&mut pieces, &content, size, 1 << 20).await.unwrap();
        assert!(moto.names().await.is_empty() && !node.present(&key).await.unwrap(), "visible before the commit");
        assert_eq!(unfinished(&moto).await, 1);
        pieces.upload.commit().await.unwrap();
        assert_eq!(moto.names().await, [format!("a-{key}")]);
        assert_eq!(unfinished(&moto).await, 0);
        for offset in [0, 1, 8 << 20, size as u64 - 1, size as u64] {
            assert!(get(&node, &key, offset).await == Some((size as u64, content[offset as usize..].to_vec())));
        }
        node.remove(&key).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_an_upload_however_it_ends() {
    let moto = Moto::bucket().await;
    let content = bytes(17_000_000, 2);
    let key = key_of(&content);
    for chunk in [None, Some(3 << 20)] {
        let node = node(&moto, "", chunk);
        for end in 0..4 {
            let mut pieces = start(&node, &key).await.unwrap();
            send(&mut pieces, &content, content.len(), 1 << 20).await.unwrap();
            assert!(unfinished(&moto).await > 0);
            match end {
                0 => pieces.upload.abort().await.unwrap(),
                1 => pieces.upload.suspend().await.unwrap(),
                2 => pieces.restart().await.unwrap(),
                _ => drop(pieces),
            }
            settled(&moto).await;
            assert!(moto.names().await.is_empty());
        }
    }
}

#[tokio::test]
async fn content_in_chunks_of_any_size_is_found_and_removed() {
    let moto = Moto::bucket().await;
    let content = bytes(1000, 3);
    let key = key_of(&content);
    // Another key of the same size has chunks of yet another size, and some of its chunks are missing.
    let other = key_of(&bytes(1000, 4));
    moto.write(&other.with_chunk(99, 1).to_string(), &[0; 99]).await;
    moto.write(&format!("{key}-not"), b"no chunk").await;
    for chunk in [1000, 400, 100] {
        let plain = node(&moto, "", None);
        put(&node(&moto, "", Some(chunk)), &key, &content).await.unwrap();
        assert_eq!(moto.names().await.len() as u64, 2 + 1000_u64.div_ceil(chunk));
        for offset in [0, 399, 400, 401, 999, 1000] {
            assert!(get(&plain, &key, offset).await == Some((1000, content[offset as usize..].to_vec())), "{offset}");
        }
        assert!(!plain.present(&other).await.unwrap());
        plain.remove(&key).await.unwrap();
        assert_eq!(moto.names().await.len(), 2);
    }
    // A chunk of the wrong size is none, and neither is a file.
    let node = node(&moto, "", Some(400));
    put(&node, &key, &content).await.unwrap();
    moto.write(&key.with_chunk(400, 3).to_string(), &[0; 201]).await;
    assert!(!node.present(&key).await.unwrap());
    moto.write(&key.to_string(), &[0; 999]).await;
    assert!(!node.present(&key).await.unwrap() && get(&node, &key, 0).await.is_none());
}

#[tokio::test]
async fn chunks_of_a_key_without_a_size_are_neither_content_nor_its_absence() {
    let moto = Moto::bucket().await;
    let key = Key::parse(b"URL--something").unwrap();
    let node = node(&moto, "", Some(100));
    put(&node, &key, &[1; 250]).await.unwrap();
    assert_eq!(moto.names().await, ["URL--something"], "stored whole");
    node.remove(&key).await.unwrap();
    moto.write(&key.with_chunk(100, 1).to_string(), &[0; 100]).await;
    assert!(node.present(&key).await.unwrap_err().to_string().contains("how many"));
}

#[tokio::test]
async fn a_bucket_that_is_not_there_proves_nothing() {
    let moto = Moto::bucket().await;
    let gone = moto::open(moto.endpoint, "no-such-bucket", "", Duration::from_secs(20));
    let node: Arc<dyn Node> = Arc::new(S3Node::new(gone, None, PART_BYTES));
    let key = key_of(b"content");
    for error in [
        node.present(&key).await.unwrap_err(),
        node.get(&key, 0).await.map(drop).unwrap_err(),
        node.remove(&key).await.unwrap_err(),
        node.capacity().await.unwrap_err(),
        put(&node, &key, b"content").await.unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(text.contains("s3://no-such-bucket/") && text.contains("NoSuchBucket"), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_is_dead_or_hangs_is_an_error_in_time_that_names_the_bucket() {
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [hanging.local_addr().unwrap(), dead] {
        let bucket = moto::open(&format!("http://{address}"), "b", "p/", Duration::from_secs(2));
        let node: Arc<dyn Node> = Arc::new(S3Node::new(bucket, None, PART_BYTES));
        let key = key_of(b"content");
        for what in 0..4 {
            let start = Instant::now();
            let error = match what {
                0 => node.present(&key).await.map(drop).unwrap_err(),
                1 => node.get(&key, 0).await.map(drop).unwrap_err(),
                2 => node.remove(&key).await.unwrap_err(),
                _ => put(&node, &key, b"content").await.unwrap_err(),
            };
            assert!(start.elapsed() < Duration::from_secs(8), "{what}: {:?}", start.elapsed());
            assert!(matches!(error, NodeError::Unreachable(_)), "{what}: {error}");
            assert!(error.to_string().contains("s3://b/p/ at http://127.0.0.1"), "{error}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }
}

#[tokio::test]
async fn content_that_is_taken_away_while_it_is_read_ends_in_an_error() {
    let moto = Moto::bucket().await;
    let node = node(&moto, "", Some(1 << 20));
    let content = bytes(3 << 20, 5);
    let key = key_of(&content);
    put(&node, &key, &content).await.unwrap();
    let stream = node.get(&key, 0).await.unwrap().unwrap().stream;
    node.remove(&key).await.unwrap();
    let read: Result<Vec<Bytes>, _> = stream.try_collect().await;
    assert!(read.unwrap_err().to_string().contains("has gone"));
}
