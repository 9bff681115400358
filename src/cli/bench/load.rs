//! The load: operations on keys, by several connections at once.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use annex_gateway::node::{Incoming, Node, NodeError};
use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use futures_util::StreamExt;
use futures_util::future::join_all;
use keep_store::base::stream::{Cutter, MAX_BLOCK, Piece};

use super::Operation;
use super::content::{CHUNK, Comparison, Contents};
use super::report::Outcome;

/// How connections are made.
pub(super) struct Connections {
    pub(super) count: u32,
    pub(super) connect: Box<dyn Fn() -> Option<Arc<dyn Node>> + Send + Sync>,
}

/// Runs operations, one after the other.
pub(super) struct Load {
    connections: Connections,
    open: Vec<Arc<dyn Node>>,
    contents: Arc<Contents>,
    limit: Duration,
    /// Which keys are there: what was not stored is neither fetched nor removed.
    stored: Arc<Mutex<Vec<u32>>>,
}

impl Load {
    pub(super) fn new(connections: Connections, contents: Arc<Contents>, limit: Duration) -> Self {
        let open = (0..connections.count).filter_map(|_| (connections.connect)()).collect();
        Self { connections, open, contents, limit, stored: Arc::default() }
    }

    /// Runs one operation over all keys that it can be done with.
    pub(super) async fn run(self: &Arc<Self>, operation: Operation) -> Outcome {
        let numbers: Vec<u32> = match operation {
            Operation::Connect | Operation::Put => (0..self.contents.keys().len() as u32).collect(),
            _ => self.stored().clone(),
        };
        if operation != Operation::Connect {
            // To connect is an operation of its own: it is not to be seen in the first of another.
            join_all(self.open.iter().zip(self.contents.keys()).map(|(node, key)| node.present(key))).await;
        }
        let (next, numbers) = (Arc::new(AtomicU32::new(0)), Arc::new(numbers));
        let started = Instant::now();
        // Tasks of their own: a runtime's main thread hears of every answer later than its workers.
        let workers: Vec<_> = (0..self.open.len())
            .map(|connection| {
                let (load, next, numbers) = (Arc::clone(self), Arc::clone(&next), Arc::clone(&numbers));
                tokio::spawn(async move { load.work(operation, connection, started, &next, &numbers).await })
            })
            .collect();
        let mut outcome = Outcome::new(operation);
        for part in join_all(workers).await {
            match part {
                Ok(part) => outcome.add(part),
                Err(lost) => outcome.failed(lost.to_string()),
            }
        }
        outcome.end(started.elapsed());
        outcome
    }

    /// Takes one number after the other, as one of several connections.
    async fn work(
        &self,
        operation: Operation,
        connection: usize,
        started: Instant,
        next: &AtomicU32,
        numbers: &[u32],
    ) -> Outcome {
        let mut done = Outcome::new(operation);
        let Some(node) = self.open.get(connection) else { return done };
        while started.elapsed() < self.limit {
            let Some(number) = numbers.get(next.fetch_add(1, Ordering::Relaxed) as usize) else { break };
            let begun = Instant::now();
            match self.one(operation, node, *number).await {
                Ok(bytes) => done.done(begun.elapsed(), bytes),
                Err(error) => done.failed(error.to_string()),
            }
        }
        done
    }

    /// Does an operation with one key; returns the bytes of content that it moved.
    async fn one(&self, operation: Operation, node: &Arc<dyn Node>, number: u32) -> Result<u64, NodeError> {
        let lost = || NodeError::Failed("there is no such key".to_owned());
        let key = self.contents.keys().get(number as usize).ok_or_else(lost)?;
        match operation {
            Operation::Connect => {
                let node = (self.connections.connect)().ok_or_else(lost)?;
                node.present(key).await.map(|_absent| 0)
            }
            Operation::Put => {
                self.put(&**node, key, number).await?;
                self.stored().push(number);
                Ok(self.contents.size())
            }
            Operation::Checkpresent => {
                let present = node.present(key).await?;
                if present { Ok(0) } else { Err(NodeError::Failed(format!("{key} was stored and is not there"))) }
            }
            Operation::Get => {
                get(&**node, key, &self.contents, number).await?;
                Ok(self.contents.size())
            }
            Operation::Lock => {
                let hold = node.lock(key).await?;
                hold.ok_or_else(|| NodeError::Failed(format!("{key} could not be locked")))?.release().await?;
                Ok(0)
            }
            Operation::Remove => {
                node.remove(key).await?;
                Ok(0)
            }
        }
    }

    async fn put(&self, node: &dyn Node, key: &Key, number: u32) -> Result<(), NodeError> {
        let size = self.contents.size();
        let Incoming::Pieces(mut pieces) = node.put(key, &AssociatedFile::default()).await? else {
            return Err(NodeError::Unsupported("it takes only complete files".to_owned()));
        };
        if pieces.kept > 0 {
            pieces.restart().await?;
        }
        let mut upload = pieces.upload;
        upload.announce(size).await?;
        // Only stores of blocks look at where content is cut, and the MD5 of blocks takes time.
        let mut cutter = pieces.takes_blocks.then(|| Cutter::new(MAX_BLOCK, 0));
        for offset in (0..size).step_by(CHUNK) {
            let chunk = self.contents.chunk(number, offset);
            let pieces = match &mut cutter {
                Some(cutter) => cutter.push(chunk).await,
                None => vec![Piece::Data(chunk)],
            };
            for piece in pieces {
                upload.piece(piece).await?;
            }
        }
        if let Some(last) = cutter.and_then(|mut cutter| cutter.finish()) {
            upload.piece(last).await?;
        }
        upload.commit().await.map(drop)
    }

    fn stored(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn get(node: &dyn Node, key: &Key, contents: &Contents, number: u32) -> Result<(), NodeError> {
    let wrong = |what: &str| NodeError::Failed(format!("{key}: {what}"));
    let found = node.get(key, 0).await?.ok_or_else(|| wrong("it was stored and is not there"))?;
    let mut stream = found.stream;
    let mut comparison = Comparison::new(contents, number);
    while let Some(bytes) = stream.next().await {
        if !comparison.take(&bytes?) {
            return Err(wrong("other bytes came back than were stored"));
        }
    }
    if comparison.is_whole() { Ok(()) } else { Err(wrong("not all came back")) }
}
