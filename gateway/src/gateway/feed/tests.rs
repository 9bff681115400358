use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use bytes::Bytes;
use keep_store::base::clock::SystemClock;
use keep_store::base::stream::Piece;

use super::*;
use crate::node::measured::Meter;
use crate::node::{ByteStream, Capacity, Content, Hold, Incoming, Node, Onward, Patience};

/// A node that is never asked: the uploads are handed out here.
struct Nobody;

#[async_trait]
impl Node for Nobody {
    async fn present(&self, _: &Key) -> Result<bool, NodeError> {
        Ok(false)
    }

    async fn get(&self, _: &Key, _: u64) -> Result<Option<Content>, NodeError> {
        Ok(None)
    }

    async fn put(&self, _: &Key, _: &AssociatedFile) -> Result<Incoming, NodeError> {
        Err(NodeError::Failed("not here".to_owned()))
    }

    async fn remove(&self, _: &Key) -> Result<Vec<Uuid>, NodeError> {
        Ok(Vec::new())
    }

    async fn set_aside(&self, _: &Key) -> Result<(), NodeError> {
        Ok(())
    }

    async fn lock(&self, _: &Key) -> Result<Option<Box<dyn Hold>>, NodeError> {
        Ok(None)
    }

    async fn capacity(&self) -> Result<Capacity, NodeError> {
        Ok(Capacity::default())
    }

    fn onward(&self, _: &BTreeSet<Uuid>) -> Onward {
        Onward::AsIs
    }
}

/// What an upload does with its pieces.
#[derive(Clone, Copy)]
enum Manner {
    Takes,
    StandsStill,
    FailsAfter(usize),
}

struct Scripted {
    manner: Manner,
    taken: Arc<Mutex<usize>>,
}

#[async_trait]
impl Upload for Scripted {
    async fn kept(&self) -> Result<ByteStream, NodeError> {
        Err(NodeError::Failed("nothing".to_owned()))
    }

    async fn restart(&mut self) -> Result<(), NodeError> {
        Ok(())
    }

    async fn announce(&mut self, _: u64) -> Result<(), NodeError> {
        Ok(())
    }

    async fn piece(&mut self, piece: Piece) -> Result<(), NodeError> {
        let Piece::Data(bytes) = piece else { return Ok(()) };
        match self.manner {
            Manner::StandsStill => std::future::pending().await,
            Manner::FailsAfter(most) if *self.taken.lock().unwrap() >= most => {
                Err(NodeError::Full("no room".to_owned()))
            }
            _ => {
                *self.taken.lock().unwrap() += bytes.len();
                Ok(())
            }
        }
    }

    async fn commit(self: Box<Self>) -> Result<Vec<Uuid>, NodeError> {
        Ok(Vec::new())
    }

    async fn suspend(self: Box<Self>) -> Result<(), NodeError> {
        Ok(())
    }

    async fn abort(self: Box<Self>) -> Result<(), NodeError> {
        Ok(())
    }
}

fn feed(manner: Manner) -> (Feed, Arc<Mutex<usize>>) {
    let taken = Arc::new(Mutex::new(0));
    let upload = Scripted { manner, taken: Arc::clone(&taken) };
    (Feed::new(member("a"), Pieces::fresh(upload)), taken)
}

fn member(name: &str) -> Member {
    let uuid = Uuid::parse(b"0b6b4c8e-3c2e-4a52-8d1e-2f9a3a1c7d10").unwrap();
    Member::new(name, uuid, Arc::new(Nobody), Meter::default(), Patience::default())
}

fn mebibyte() -> Piece {
    Piece::Data(Bytes::from(vec![0; 1 << 20]))
}

#[tokio::test]
async fn everything_reaches_a_node_that_takes_it() {
    let (mut feed, taken) = feed(Manner::Takes);
    feed.announce(20 << 20).await.unwrap();
    for _ in 0..20 {
        feed.send(mebibyte()).await.unwrap();
    }
    let (_, committed) = feed.end(|upload| upload.commit()).await;
    committed.unwrap();
    assert_eq!(*taken.lock().unwrap(), 20 << 20);
}

#[tokio::test(start_paused = true)]
async fn few_bytes_wait_for_the_end_and_are_told_of_then() {
    let end = async |manner| {
        let (mut feed, taken) = feed(manner);
        for _ in 0..2 {
            feed.send(Piece::Data(Bytes::from_static(b"few"))).await.unwrap();
        }
        assert_eq!(*taken.lock().unwrap(), 0);
        let (_, committed) = feed.end(|upload| upload.commit()).await;
        (committed, *taken.lock().unwrap())
    };
    assert!(matches!(end(Manner::Takes).await, (Ok(_), 6)));
    assert!(matches!(end(Manner::FailsAfter(3)).await, (Err(NodeError::Full(_)), 3)));
    assert!(matches!(end(Manner::StandsStill).await, (Err(NodeError::Unreachable(_)), 0)));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stands_still_is_given_up_and_holds_a_bounded_number_of_bytes() {
    let (mut feed, _) = feed(Manner::StandsStill);
    let progress = Patience::default().progress;
    let started = tokio::time::Instant::now();
    let mut accepted = 0;
    let error = loop {
        match feed.send(mebibyte()).await {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, NodeError::Unreachable(_)), "{error}");
    assert!(accepted <= 5, "{accepted} MiB wait for it");
    assert!(started.elapsed() >= progress && started.elapsed() < 2 * progress);
}

#[tokio::test]
async fn a_node_that_fails_says_why() {
    let (mut feed, _) = feed(Manner::FailsAfter(3 << 20));
    let error = loop {
        if let Err(error) = feed.send(mebibyte()).await {
            break error;
        }
    };
    assert!(matches!(error, NodeError::Full(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_end_does_not_wait_for_ever() {
    let (mut feed, _) = feed(Manner::StandsStill);
    feed.send(mebibyte()).await.unwrap();
    let (_, ended) = feed.end(|upload| upload.commit()).await;
    assert!(matches!(ended, Err(NodeError::Unreachable(_))));
}

/// What comes of storing a shared file, and what was stored.
struct Taker(Result<(), NodeError>, Arc<Mutex<Vec<u8>>>);

#[async_trait]
impl FileUpload for Taker {
    async fn store(self: Box<Self>, file: &std::path::Path, size: u64) -> Result<(), NodeError> {
        let content = std::fs::read(file).unwrap();
        assert_eq!(content.len() as u64, size);
        self.1.lock().unwrap().extend(content);
        self.0
    }
}

#[tokio::test]
async fn nodes_that_share_a_file_store_it_each_for_itself() {
    let dir = tempfile::tempdir().unwrap();
    let spool = crate::spool::Spool::open(dir.path(), 0, &SystemClock::default()).unwrap();
    let owner = Uuid::parse(b"0b6b4c8e-3c2e-4a52-8d1e-2f9a3a1c7d10").unwrap();
    let key = Key::parse(b"WORM-s7--file").unwrap();
    let taken: [Arc<Mutex<Vec<u8>>>; 3] = Default::default();
    let broken = NodeError::Failed("it broke".to_owned());
    let outcomes = [Ok(()), Err(NodeError::Full("never asked".to_owned())), Err(broken)];
    let takers = outcomes.into_iter().zip(&taken).zip(["a", "b", "c"]).map(|((outcome, taken), name)| {
        (member(name), Box::new(Taker(outcome, Arc::clone(taken))) as Box<dyn FileUpload>)
    });
    let takers = takers.collect();
    let spooling = Spooling::start(&spool, &owner, &key).await.unwrap();
    let mut feed = Feed::of_file(Box::new(spooling), takers);
    feed.leave_out(|member| member.name == "b");
    feed.announce(7).await.unwrap();
    feed.send(Piece::Data(Bytes::from_static(b"content"))).await.unwrap();
    let outcomes: Vec<_> =
        feed.commit().await.into_iter().map(|(member, stored)| (member.name, stored.is_ok())).collect();
    assert_eq!(outcomes, [("a".to_owned(), true), ("c".to_owned(), false)]);
    let taken = taken.map(|taken| taken.lock().unwrap().clone());
    assert_eq!(taken, [&b"content"[..], b"", b"content"]);
    let left = std::fs::read_dir(dir.path().join("kept")).unwrap().count();
    assert_eq!(left, 0, "the file goes with the last who holds it");
}
