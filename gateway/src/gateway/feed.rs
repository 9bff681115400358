//! One node's side of an upload: a bounded queue in front of the node, worked off by a task of its own.
//!
//! So a node that is slow for a moment delays nobody, and one that stands still is given up. Nodes that can only take a
//! complete file share one such side: the file is written once. A content of few bytes needs no task: it waits in the
//! queue for the upload's end.

use std::sync::Arc;
use std::time::Duration;

use annex_protocol::uuid::Uuid;
use bytes::Bytes;
use futures_util::future::join_all;
use keep_store::base::stream::{Budget, Counted, Piece};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Member;
use super::digest::Printed;
use crate::node::deadline::{all_of, answered};
use crate::node::{FileUpload, NodeError, Patience, Pieces, Spooling, Upload};
use crate::spool::SpoolFile;

/// Bytes that may wait for one node. They are shared by all nodes of the upload, so this is also what one upload holds.
const QUEUE_BYTES: u32 = 2 << 20;

/// Pieces that may wait for one node, however small.
const QUEUE_PIECES: usize = 256;

/// Up to so many bytes and pieces wait for the upload's end. Waking a task for them would take longer than storing them.
const MOST_WAITING_BYTES: usize = 64 << 10;
const MOST_WAITING_PIECES: usize = 16;

/// An upload to one node, or to those that share a file.
pub(super) struct Feed {
    pub(super) members: Vec<Member>,
    patience: Patience,
    shared: Option<SharedFile>,
    /// Where the upload goes on.
    pub(super) offset: u64,
    /// What its node kept, if that is to be compared.
    pub(super) kept: Option<Printed>,
    /// Its node stores blocks.
    pub(super) takes_blocks: bool,
    backlog: Backlog,
    budget: Budget,
    size: Option<u64>,
}

/// What has been handed over, and who works it off.
enum Backlog {
    /// Nobody yet.
    Waiting { upload: Box<dyn Upload>, steps: Vec<Step>, bytes: usize },
    /// A task.
    Working { queue: mpsc::Sender<Step>, task: JoinHandle<Worked> },
    /// Nobody: it has failed, and the error was returned.
    Over,
}

/// A file for several nodes.
struct SharedFile {
    file: Arc<SpoolFile>,
    /// How each of the members stores it, in their order.
    stores: Vec<Box<dyn FileUpload>>,
}

/// One thing that the node is to be told or given.
enum Step {
    Announce(u64),
    Data(Counted),
    Cut(Piece),
}

/// The upload when its queue is empty, or why it failed before.
type Worked = Result<Box<dyn Upload>, NodeError>;

impl Feed {
    pub(super) fn new(member: Member, pieces: Pieces) -> Self {
        Self::start(vec![member], None, pieces)
    }

    /// Makes the feed of nodes that take the file which `spooling` writes.
    pub(super) fn of_file(spooling: Box<Spooling>, takers: Vec<(Member, Box<dyn FileUpload>)>) -> Self {
        let (members, stores) = takers.into_iter().unzip();
        let (file, kept) = (spooling.file(), spooling.offset());
        let pieces = Pieces { upload: spooling, kept, takes_blocks: false };
        Self::start(members, Some(SharedFile { file, stores }), pieces)
    }

    fn start(members: Vec<Member>, shared: Option<SharedFile>, pieces: Pieces) -> Self {
        // All nodes of a site have the same patience.
        let patience = members.first().map(|member| member.patience).unwrap_or_default();
        let Pieces { upload, kept: offset, takes_blocks } = pieces;
        let backlog = Backlog::Waiting { upload, steps: Vec::new(), bytes: 0 };
        let budget = Budget::new(QUEUE_BYTES);
        Self { members, patience, shared, offset, kept: None, takes_blocks, backlog, budget, size: None }
    }

    /// Leaves these nodes out of the upload.
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
        self.step(Step::Announce(size)).await
    }

    /// Hands a piece to the node. Waits while its queue is full; an error once the node has stood still for too long.
    pub(super) async fn send(&mut self, piece: Piece) -> Result<(), NodeError> {
        match piece {
            Piece::Data(bytes) => {
                let counted = self.count(bytes).await?;
                self.step(Step::Data(counted)).await
            }
            cut @ Piece::Cut(_) => self.step(Step::Cut(cut)).await,
        }
    }

    async fn count(&mut self, bytes: Bytes) -> Result<Counted, NodeError> {
        let budget = self.budget.clone();
        match timeout(self.patience.progress, budget.take(bytes)).await {
            Ok(counted) => Ok(counted),
            Err(_elapsed) => Err(self.behind().await),
        }
    }

    async fn step(&mut self, step: Step) -> Result<(), NodeError> {
        if let Backlog::Waiting { steps, bytes, .. } = &mut self.backlog {
            *bytes += step.bytes();
            steps.push(step);
            return match *bytes > MOST_WAITING_BYTES || steps.len() > MOST_WAITING_PIECES {
                true => self.work().await,
                false => Ok(()),
            };
        }
        self.queue(step).await
    }

    /// Starts a task that works off what waits and what comes from now on.
    async fn work(&mut self) -> Result<(), NodeError> {
        if let Backlog::Waiting { upload, steps, .. } = std::mem::replace(&mut self.backlog, Backlog::Over) {
            let (queue, waiting) = mpsc::channel(QUEUE_PIECES);
            self.backlog = Backlog::Working { queue, task: tokio::spawn(work(upload, waiting)) };
            for step in steps {
                self.queue(step).await?;
            }
        }
        Ok(())
    }

    async fn queue(&mut self, step: Step) -> Result<(), NodeError> {
        let Backlog::Working { queue, .. } = &self.backlog else { return Err(lost()) };
        match timeout(self.patience.progress, queue.send(step)).await {
            Ok(Ok(())) => Ok(()),
            // The task has ended with an error, which is fetched here.
            Ok(Err(_closed)) => Err(self.failure().await),
            Err(_elapsed) => Err(self.behind().await),
        }
    }

    async fn failure(&mut self) -> NodeError {
        let Backlog::Working { task, .. } = std::mem::replace(&mut self.backlog, Backlog::Over) else { return lost() };
        match task.await {
            Ok(Err(error)) => error,
            Ok(Ok(_)) | Err(_) => lost(),
        }
    }

    /// Gives a node up that stands still, unless it has failed with a better reason by now.
    async fn behind(&mut self) -> NodeError {
        if let Backlog::Working { task, .. } = &self.backlog {
            if task.is_finished() {
                return self.failure().await;
            }
            task.abort();
        }
        took_nothing(self.patience.progress)
    }

    /// Makes the content present and durable on each node; returns what came of it, and whom else a node names.
    pub(super) async fn commit(mut self) -> Vec<(Member, Result<Vec<Uuid>, NodeError>)> {
        let limit = self.patience.commit() + all_of(self.size);
        let shared = self.shared.take();
        let (members, ended) = self.end(|upload| upload.commit()).await;
        let Some(SharedFile { file, stores }) = shared else {
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
        let Self { members, patience, backlog, .. } = self;
        let outcome = match backlog.drained(patience).await {
            Ok(upload) => answered(limit, end(upload)).await,
            Err(error) => Err(error),
        };
        (members, outcome)
    }
}

impl Backlog {
    /// Waits until the node has taken everything, and returns its upload.
    async fn drained(self, patience: Patience) -> Worked {
        let limit = patience.commit();
        match self {
            Self::Waiting { mut upload, steps, .. } => {
                let taking = async {
                    for step in steps {
                        step.carry_out(&mut *upload).await?;
                    }
                    Ok(())
                };
                timeout(limit, taking).await.unwrap_or_else(|_elapsed| Err(took_nothing(limit)))?;
                Ok(upload)
            }
            Self::Working { queue, task } => {
                drop(queue);
                let stop = task.abort_handle();
                match timeout(limit, task).await {
                    Ok(ended) => ended.unwrap_or_else(|_lost| Err(lost())),
                    Err(_elapsed) => {
                        stop.abort();
                        Err(took_nothing(limit))
                    }
                }
            }
            Self::Over => Err(lost()),
        }
    }
}

impl Step {
    fn bytes(&self) -> usize {
        match self {
            Self::Data(counted) => counted.bytes.len(),
            Self::Announce(_) | Self::Cut(_) => 0,
        }
    }

    async fn carry_out(self, upload: &mut dyn Upload) -> Result<(), NodeError> {
        match self {
            Self::Announce(size) => upload.announce(size).await,
            // Its bytes stay counted until the node has taken them.
            Self::Data(counted) => upload.piece(Piece::Data(counted.bytes.clone())).await,
            Self::Cut(cut) => upload.piece(cut).await,
        }
    }
}

fn lost() -> NodeError {
    NodeError::Failed("the upload was lost".to_owned())
}

fn took_nothing(waited: Duration) -> NodeError {
    NodeError::Unreachable(format!("it took nothing for {} s", waited.as_secs()))
}

async fn work(mut upload: Box<dyn Upload>, mut steps: mpsc::Receiver<Step>) -> Worked {
    while let Some(step) = steps.recv().await {
        step.carry_out(&mut *upload).await?;
    }
    Ok(upload)
}

#[cfg(test)]
mod tests;
