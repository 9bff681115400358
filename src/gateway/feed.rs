//! One node's side of an upload: a bounded queue in front of the node, worked off by a task of its own.
//!
//! So a node that is slow for a moment holds nobody up, and one that stands still is left behind. Nodes that can only
//! take a complete file share one such side: the file is written once.

use std::sync::Arc;
use std::time::Duration;

use annex_protocol::uuid::Uuid;
use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Member;
use super::deadline::{all_of, answered};
use crate::node::{FileUpload, NodeError, Patience, Spooling, Upload};
use crate::stream::{Budget, Counted, Piece, SpoolFile};

/// Bytes that may wait for one node. They are shared by all nodes of the upload, so this is also what one upload holds.
const QUEUE_BYTES: u32 = 2 << 20;

/// Pieces that may wait for one node, however small.
const QUEUE_PIECES: usize = 256;

/// An upload to one node, or to those that share a file.
pub(super) struct Feed {
    pub(super) members: Vec<Member>,
    patience: Patience,
    shared: Option<Shared>,
    /// Where the upload goes on.
    pub(super) offset: u64,
    /// Its node stores blocks.
    pub(super) takes_blocks: bool,
    queue: mpsc::Sender<Order>,
    budget: Budget,
    size: Option<u64>,
    task: JoinHandle<Ended>,
}

/// A file for several nodes.
struct Shared {
    file: Arc<SpoolFile>,
    /// How each of the members stores it, in their order.
    stores: Vec<Box<dyn FileUpload>>,
}

enum Order {
    Announce(u64),
    Data(Counted),
    Cut(Piece),
}

/// The upload when its queue is empty, or why it failed before.
type Ended = Result<Box<dyn Upload>, NodeError>;

impl Feed {
    pub(super) fn new(member: Member, upload: Box<dyn Upload>) -> Self {
        Self::start(vec![member], None, upload)
    }

    /// Makes the feed of nodes that take the file which `spooling` writes.
    pub(super) fn of_file(spooling: Box<Spooling>, takers: Vec<(Member, Box<dyn FileUpload>)>) -> Self {
        let (members, stores) = takers.into_iter().unzip();
        Self::start(members, Some(Shared { file: spooling.file(), stores }), spooling)
    }

    fn start(members: Vec<Member>, shared: Option<Shared>, upload: Box<dyn Upload>) -> Self {
        // One for all nodes of a site.
        let patience = members.first().map(|member| member.patience).unwrap_or_default();
        let (queue, orders) = mpsc::channel(QUEUE_PIECES);
        let (offset, takes_blocks) = (upload.offset(), upload.takes_blocks());
        let task = tokio::spawn(work(upload, orders));
        let budget = Budget::new(QUEUE_BYTES);
        Self { members, patience, shared, offset, takes_blocks, queue, budget, size: None, task }
    }

    /// Leaves nodes out of it.
    pub(super) fn leave_out(&mut self, left_out: impl Fn(&Member) -> bool) {
        if let Some(shared) = &mut self.shared {
            let mut members = self.members.iter();
            shared.stores.retain(|_| members.next().is_some_and(|member| !left_out(member)));
        }
        self.members.retain(|member| !left_out(member));
    }

    /// Tells the node how large the whole content will be.
    pub(super) async fn announce(&mut self, size: u64) -> Result<(), NodeError> {
        self.size = Some(size);
        self.order(Order::Announce(size)).await
    }

    /// Hands a piece to the node. Waits while its queue is full; an error once the node has stood still for too long.
    pub(super) async fn send(&mut self, piece: Piece) -> Result<(), NodeError> {
        match piece {
            Piece::Data(bytes) => {
                let counted = self.count(bytes).await?;
                self.order(Order::Data(counted)).await
            }
            cut @ Piece::Cut(_) => self.order(Order::Cut(cut)).await,
        }
    }

    async fn count(&mut self, bytes: Bytes) -> Result<Counted, NodeError> {
        let budget = self.budget.clone();
        match timeout(self.patience.progress, budget.take(bytes)).await {
            Ok(counted) => Ok(counted),
            Err(_elapsed) => Err(self.behind().await),
        }
    }

    async fn order(&mut self, order: Order) -> Result<(), NodeError> {
        match timeout(self.patience.progress, self.queue.send(order)).await {
            Ok(Ok(())) => Ok(()),
            // The task has ended, and says why.
            Ok(Err(_closed)) => Err(self.failure().await),
            Err(_elapsed) => Err(self.behind().await),
        }
    }

    async fn failure(&mut self) -> NodeError {
        match (&mut self.task).await {
            Ok(Err(error)) => error,
            Ok(Ok(_)) | Err(_) => NodeError::Failed("the upload was lost".to_owned()),
        }
    }

    /// Gives a node up that stands still, unless it has failed with a better reason by now.
    async fn behind(&mut self) -> NodeError {
        if self.task.is_finished() {
            return self.failure().await;
        }
        self.task.abort();
        took_nothing(self.patience.progress)
    }

    /// Waits until the node has taken everything, and returns its upload.
    async fn drained(patience: Patience, queue: mpsc::Sender<Order>, task: JoinHandle<Ended>) -> Ended {
        drop(queue);
        let stop = task.abort_handle();
        match timeout(patience.commit(), task).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(_lost)) => Err(NodeError::Failed("the upload was lost".to_owned())),
            Err(_elapsed) => {
                stop.abort();
                Err(took_nothing(patience.commit()))
            }
        }
    }

    /// Makes the content present and durable on each node; returns what came of it, and whom else a node names.
    pub(super) async fn commit(mut self) -> Vec<(Member, Result<Vec<Uuid>, NodeError>)> {
        let limit = self.patience.commit() + all_of(self.size);
        let shared = self.shared.take();
        let (members, ended) = self.end(|upload| upload.commit_and_tell()).await;
        let Some(Shared { file, stores }) = shared else {
            return members.into_iter().map(|member| (member, ended.clone())).collect();
        };
        let stored = members.into_iter().zip(stores).map(|(member, store)| {
            let (file, ended) = (&file, ended.clone());
            async move {
                let stored = match ended {
                    Ok(others) => answered(limit, store.store(file.path(), file.size())).await.map(|()| others),
                    Err(error) => Err(error),
                };
                (member, stored)
            }
        });
        join_all(stored).await
    }

    /// Ends the upload in one of the three ways of [`Upload`].
    pub(super) async fn end<T, F>(self, end: impl FnOnce(Box<dyn Upload>) -> F) -> (Vec<Member>, Result<T, NodeError>)
    where
        F: Future<Output = Result<T, NodeError>> + Send,
    {
        let limit = self.patience.commit() + all_of(self.size);
        let Self { members, patience, queue, task, .. } = self;
        let outcome = match Self::drained(patience, queue, task).await {
            Ok(upload) => answered(limit, end(upload)).await,
            Err(error) => Err(error),
        };
        (members, outcome)
    }
}

fn took_nothing(waited: Duration) -> NodeError {
    NodeError::Unreachable(format!("it took nothing for {} s", waited.as_secs()))
}

async fn work(mut upload: Box<dyn Upload>, mut orders: mpsc::Receiver<Order>) -> Ended {
    while let Some(order) = orders.recv().await {
        match order {
            Order::Announce(size) => upload.announce(size).await?,
            // What is counted stays so until the node has taken it.
            Order::Data(counted) => upload.piece(Piece::Data(counted.bytes.clone())).await?,
            Order::Cut(cut) => upload.piece(cut).await?,
        }
    }
    Ok(upload)
}

#[cfg(test)]
mod tests;
