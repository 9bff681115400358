//! What is to go wrong, and when.

use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use crate::node::error::NodeError;

/// What a node is asked, each part of an upload and of a lock included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// [`super::Node::present`].
    Present,
    /// [`super::Node::get`], until bytes can flow.
    Get,
    /// [`super::Node::put`], until bytes can flow.
    Put,
    /// [`super::Upload::kept`].
    Kept,
    /// [`super::Upload::restart`].
    Restart,
    /// [`super::Upload::announce`].
    Announce,
    /// [`super::Upload::piece`].
    Piece,
    /// [`super::Upload::commit`], or [`super::FileUpload::store`].
    Commit,
    /// [`super::Upload::suspend`].
    Suspend,
    /// [`super::Upload::abort`].
    Abort,
    /// [`super::Node::remove`].
    Remove,
    /// [`super::Node::set_aside`].
    SetAside,
    /// [`super::Node::lock`].
    Lock,
    /// [`super::Hold::renew`].
    Renew,
    /// [`super::Hold::release`].
    Release,
    /// [`super::Node::capacity`].
    Capacity,
}

/// What goes wrong with a question.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Nothing is done, and this is the answer.
    Fails(NodeError),
    /// Nothing is done, and no answer ever comes.
    Hangs,
    /// It is done after so long.
    Late(Duration),
    /// It is done, and this is the answer: whoever asked cannot know.
    FailsWhenDone(NodeError),
    /// It is done, and no answer ever comes.
    HangsWhenDone,
}

/// What goes wrong with bytes on their way from the node. Positions count from the start of the whole content.
#[derive(Debug, Clone)]
pub enum ReadFault {
    /// They end before this byte, with an error.
    FailsAt(u64, NodeError),
    /// They end before this byte, as if that were all.
    EndsAt(u64),
    /// Nothing more comes from this byte on.
    HangsAt(u64),
    /// This byte is another one.
    WrongAt(u64),
}

/// What was asked for. Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct Script(Arc<Mutex<Lines>>);

#[derive(Default)]
pub(super) struct Lines {
    pub(super) faults: HashMap<Operation, Plan<Fault>>,
    pub(super) reads: Plan<ReadFault>,
    pub(super) uploads: Plan<(u64, Fault)>,
    pub(super) lie: Option<bool>,
    pub(super) asked: HashMap<Operation, u64>,
}

/// What happens the next times, and from then on.
pub(super) struct Plan<T> {
    pub(super) once: VecDeque<T>,
    pub(super) always: Option<T>,
}

impl<T> Default for Plan<T> {
    fn default() -> Self {
        Self { once: VecDeque::new(), always: None }
    }
}

impl<T: Clone> Plan<T> {
    pub(super) fn next(&mut self) -> Option<T> {
        self.once.pop_front().or_else(|| self.always.clone())
    }
}

impl Script {
    pub(super) fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks something as the script says.
    pub(super) async fn ask<T>(
        &self,
        operation: Operation,
        asking: impl Future<Output = Result<T, NodeError>>,
    ) -> Result<T, NodeError> {
        let fault = {
            let mut lines = self.lines();
            *lines.asked.entry(operation).or_default() += 1;
            lines.faults.get_mut(&operation).and_then(Plan::next)
        };
        match fault {
            None => asking.await,
            Some(fault) => fault.befall(asking).await,
        }
    }
}

impl Fault {
    pub(super) async fn befall<T>(self, asking: impl Future<Output = Result<T, NodeError>>) -> Result<T, NodeError> {
        match self {
            Self::Fails(error) => Err(error),
            Self::Hangs => pending().await,
            Self::Late(time) => {
                sleep(time).await;
                asking.await
            }
            Self::FailsWhenDone(error) => {
                asking.await?;
                Err(error)
            }
            Self::HangsWhenDone => {
                asking.await?;
                pending().await
            }
        }
    }
}
