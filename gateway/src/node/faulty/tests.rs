use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use tokio::time::{Instant, timeout};

use super::*;
use crate::node::memory::MemoryNode;

const HOUR: Duration = Duration::from_secs(3600);

fn faulty() -> (Faulty, MemoryNode, Key) {
    let memory = MemoryNode::default();
    (Faulty::new(Arc::new(memory.clone())), memory, Key::parse(b"WORM-s6--a").unwrap())
}

fn away() -> NodeError {
    NodeError::Unreachable("away".to_owned())
}

async fn start(node: &Faulty, key: &Key) -> Result<Box<dyn Upload>, NodeError> {
    match node.put(key, &AssociatedFile::default()).await? {
        Incoming::Pieces(pieces) => Ok(pieces.upload),
        Incoming::WholeFile(_) => panic!("memory takes pieces"),
    }
}

async fn put(node: &Faulty, key: &Key) -> Result<(), NodeError> {
    let mut upload = start(node, key).await?;
    upload.announce(6).await?;
    for part in [&b"abcd"[..], b"ef"] {
        upload.piece(Piece::Data(Bytes::from_static(part))).await?;
    }
    upload.commit().await.map(drop)
}

async fn get(node: &Faulty, key: &Key, offset: u64) -> (Vec<u8>, io::Result<()>) {
    let mut stream = node.get(key, offset).await.unwrap().unwrap().stream;
    let mut bytes = Vec::new();
    loop {
        match stream.try_next().await {
            Ok(Some(more)) => bytes.extend_from_slice(&more),
            Ok(None) => return (bytes, Ok(())),
            Err(error) => return (bytes, Err(error)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_comes_once_or_always_until_it_is_healed() {
    let (node, _, key) = faulty();
    put(&node, &key).await.unwrap();
    node.once(Operation::Present, Fault::Fails(away()));
    assert_eq!(node.present(&key).await, Err(away()));
    assert_eq!(node.present(&key).await, Ok(true));
    node.always_all(&Fault::Fails(away()));
    assert_eq!(node.remove(&key).await, Err(away()));
    assert_eq!(put(&node, &key).await, Err(away()));
    assert!(node.lock(&key).await.is_err() && node.capacity().await.is_err() && node.get(&key, 0).await.is_err());
    node.heal();
    assert_eq!(node.present(&key).await, Ok(true));
    assert_eq!(node.asked(Operation::Present), 3);
}

#[tokio::test(start_paused = true)]
async fn answers_come_late_or_never_and_the_work_may_be_done_all_the_same() {
    let (node, memory, key) = faulty();
    let began = Instant::now();
    node.once(Operation::Present, Fault::Late(HOUR));
    assert_eq!(node.present(&key).await, Ok(false));
    assert_eq!(began.elapsed(), HOUR);
    node.once(Operation::Present, Fault::Hangs);
    timeout(HOUR, node.present(&key)).await.unwrap_err();

    node.once(Operation::Commit, Fault::FailsWhenDone(away()));
    assert_eq!(put(&node, &key).await, Err(away()));
    assert!(memory.content(&key).is_some());
    node.once(Operation::Remove, Fault::HangsWhenDone);
    timeout(HOUR, node.remove(&key)).await.unwrap_err();
    assert!(memory.content(&key).is_none());
    node.once(Operation::Commit, Fault::Hangs);
    timeout(HOUR, put(&node, &key)).await.unwrap_err();
    assert!(memory.content(&key).is_none());
}

#[tokio::test(start_paused = true)]
async fn it_lies_about_presence() {
    let (node, memory, key) = faulty();
    node.lie(Some(true));
    assert_eq!(node.present(&key).await, Ok(true));
    assert!(node.get(&key, 0).await.unwrap().is_none());
    node.lie(Some(false));
    memory.change(&key, Some(Bytes::from_static(b"abcdef")));
    assert_eq!(node.present(&key).await, Ok(false));
    node.lie(None);
    assert_eq!(node.present(&key).await, Ok(true));
}

#[tokio::test(start_paused = true)]
async fn bytes_on_their_way_end_hang_or_are_wrong_at_the_byte_that_was_named() {
    let (node, _, key) = faulty();
    put(&node, &key).await.unwrap();
    node.spoil_read_once(ReadFault::EndsAt(4));
    let (bytes, ended) = get(&node, &key, 1).await;
    assert!(bytes == b"bcd" && ended.is_ok());
    node.spoil_read_once(ReadFault::FailsAt(4, away()));
    let (bytes, ended) = get(&node, &key, 1).await;
    assert_eq!((bytes, NodeError::from(ended.unwrap_err())), (b"bcd".to_vec(), away()));
    node.spoil_read_once(ReadFault::HangsAt(0));
    timeout(HOUR, get(&node, &key, 0)).await.unwrap_err();
    node.spoil_reads(ReadFault::WrongAt(5));
    for _ in 0..2 {
        let (bytes, ended) = get(&node, &key, 2).await;
        assert!(bytes == [b'c', b'd', b'e', !b'f'] && ended.is_ok());
    }
    node.spoil_reads(ReadFault::FailsAt(1, away()));
    let (bytes, ended) = get(&node, &key, 2).await;
    assert!(bytes == b"cdef" && ended.is_ok(), "the byte was not asked for");
}

#[tokio::test(start_paused = true)]
async fn an_upload_goes_wrong_at_the_byte_that_was_named() {
    let (node, memory, key) = faulty();
    node.spoil_upload_once(5, Fault::Fails(away()));
    let mut upload = start(&node, &key).await.unwrap();
    upload.piece(Piece::Data(Bytes::from_static(b"abcd"))).await.unwrap();
    assert_eq!(upload.piece(Piece::Data(Bytes::from_static(b"ef"))).await, Err(away()));
    upload.suspend().await.unwrap();
    let Incoming::Pieces(pieces) = node.put(&key, &AssociatedFile::default()).await.unwrap() else { panic!("a file") };
    assert_eq!(pieces.kept, 5, "what came before was taken");
    let mut upload = pieces.upload;
    upload.piece(Piece::Data(Bytes::from_static(b"f"))).await.unwrap();
    upload.commit().await.unwrap();
    assert_eq!(memory.content(&key).unwrap(), "abcdef");
    node.spoil_uploads(0, Fault::Hangs);
    timeout(HOUR, put(&node, &key)).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_lost_when_it_is_renewed() {
    let (node, _, key) = faulty();
    put(&node, &key).await.unwrap();
    let mut hold = node.lock(&key).await.unwrap().unwrap();
    node.once(Operation::Renew, Fault::Fails(away()));
    assert_eq!(hold.renew().await, Err(away()));
    hold.renew().await.unwrap();
    node.once(Operation::Release, Fault::FailsWhenDone(away()));
    assert_eq!(hold.release().await, Err(away()));
    node.remove(&key).await.unwrap();
}
