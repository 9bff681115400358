//! One node's side of an upload: a bounded queue in front of the node, worked off by a task of its own.
//!
//! So a node that is slow for a moment holds nobody up, and one that stands still is left behind.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Member;
use super::deadline::{all_of, answered};
use crate::node::{NodeError, Upload};
use crate::stream::{Budget, Counted, Piece};

/// Bytes that may wait for one node. They are shared by all nodes of the upload, so this is also what one upload holds.
const QUEUE_BYTES: u32 = 4 << 20;

/// Pieces that may wait for one node, however small.
const QUEUE_PIECES: usize = 256;

/// An upload to one node.
pub(super) struct Feed {
    pub(super) member: Member,
    queue: mpsc::Sender<Order>,
    budget: Budget,
    size: Option<u64>,
    task: JoinHandle<Ended>,
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
        let (queue, orders) = mpsc::channel(QUEUE_PIECES);
        let task = tokio::spawn(work(upload, orders));
        Self { member, queue, budget: Budget::new(QUEUE_BYTES), size: None, task }
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
        match timeout(self.member.patience.progress, budget.take(bytes)).await {
            Ok(counted) => Ok(counted),
            Err(_elapsed) => Err(self.behind().await),
        }
    }

    async fn order(&mut self, order: Order) -> Result<(), NodeError> {
        match timeout(self.member.patience.progress, self.queue.send(order)).await {
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
        took_nothing(self.member.patience.progress)
    }

    /// Waits until the node has taken everything, and returns its upload.
    async fn drained(self) -> (Member, Ended) {
        let Self { member, queue, task, .. } = self;
        drop(queue);
        let stop = task.abort_handle();
        let ended = match timeout(member.patience.commit(), task).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(_lost)) => Err(NodeError::Failed("the upload was lost".to_owned())),
            Err(_elapsed) => {
                stop.abort();
                Err(took_nothing(member.patience.commit()))
            }
        };
        (member, ended)
    }

    /// Ends the upload in one of the three ways of [`Upload`].
    pub(super) async fn end<T, F>(self, end: impl FnOnce(Box<dyn Upload>) -> F) -> (Member, Result<T, NodeError>)
    where
        F: Future<Output = Result<T, NodeError>> + Send,
    {
        let limit = self.member.patience.commit() + all_of(self.size);
        let (member, ended) = self.drained().await;
        let outcome = match ended {
            Ok(upload) => answered(limit, end(upload)).await,
            Err(error) => Err(error),
        };
        (member, outcome)
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
