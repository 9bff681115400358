//! What goes on: who does what, how much of it, and the line that is logged about each request.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;

use super::caller::Who;
use crate::site::RepoName;
use crate::site::config::Limits;

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Whether content is there.
    CheckPresent,
    /// Content.
    Get,
    /// To store content.
    Put,
    /// To remove content.
    Remove,
    /// To keep content from being removed.
    Lock,
}

/// What goes on in all doors. Cloning is cheap.
#[derive(Clone)]
pub struct Traffic(Arc<Inner>);

#[derive(Default)]
struct Inner {
    running: AtomicU64,
}

/// From where and for whom requests come.
#[derive(Clone)]
pub struct Scope {
    /// What they are counted in.
    pub traffic: Traffic,
    /// Who asks.
    pub who: Who,
    /// About which repository.
    pub repo: RepoName,
    /// Through which door: `ssh`, `shell`, `http`.
    pub door: &'static str,
}

/// One request of a client. Dropped without an end, it counts as broken off.
pub struct Request {
    scope: Scope,
    operation: Operation,
    key: Key,
    started: Instant,
    bytes: u64,
    ended: bool,
}

/// How a request ended.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// As it was asked, on or from these nodes.
    Done(&'a [Uuid]),
    /// The answer is no: not there, or not done for a reason that the client may ask about again.
    No,
    /// It failed.
    Failed(&'a str),
}

/// So much is going on that the client should come again later.
#[derive(Debug, thiserror::Error)]
#[error("the server is busy: too many transfers are waiting; try again later")]
pub struct Busy;

impl Traffic {
    /// Makes the account of a process.
    pub fn new(_limits: &Limits) -> Self {
        Self(Arc::default())
    }

    /// Takes new limits for what comes from now on.
    pub fn set_limits(&self, _limits: &Limits) {}
}

impl Scope {
    /// Begins a request.
    pub fn request(&self, operation: Operation, key: &Key) -> Request {
        self.traffic.0.running.fetch_add(1, Ordering::Relaxed);
        Request { scope: self.clone(), operation, key: key.clone(), started: Instant::now(), bytes: 0, ended: false }
    }
}

impl Request {
    /// Waits for a turn to transfer content.
    pub async fn turn(&mut self) -> Result<(), Busy> {
        Ok(())
    }

    /// Counts bytes of content that pass, and waits as long as the limits ask for.
    pub async fn pass(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Ends the request and logs it.
    pub fn end(mut self, outcome: &Outcome<'_>) {
        self.log(outcome);
    }

    fn log(&mut self, outcome: &Outcome<'_>) {
        self.ended = true;
        let Scope { who, repo, door, .. } = &self.scope;
        let millis = self.started.elapsed().as_millis();
        let (result, nodes, reason) = match outcome {
            Outcome::Done(nodes) => ("done", names(nodes), ""),
            Outcome::No => ("no", String::new(), ""),
            Outcome::Failed(reason) => ("failed", String::new(), *reason),
        };
        tracing::info!(
            target: "annex_keep::request",
            user = %who, repository = %repo, door, operation = %self.operation, key = %self.key, nodes,
            bytes = self.bytes, milliseconds = millis, outcome = result, reason
        );
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.scope.traffic.0.running.fetch_sub(1, Ordering::Relaxed);
        if !self.ended {
            self.log(&Outcome::Failed("broken off"));
        }
    }
}

fn names(uuids: &[Uuid]) -> String {
    uuids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CheckPresent => "checkpresent",
            Self::Get => "get",
            Self::Put => "put",
            Self::Remove => "remove",
            Self::Lock => "lock",
        })
    }
}
