//! One request of a client, from its begin to its end: its turn, its bytes, its outcome and its line in the log.

use std::time::{Duration, Instant};

use annex_gateway::gateway::{ErrorKind, HasKind, NodeFailure, Removed, Stored, joined};
use annex_gateway::site::RepoName;
use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};

use super::account::{Traffic, UnderWay};
use super::limits::Busy;
use super::operation::Operation;
use super::turns::Turn;
use crate::host::caller::Who;

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

/// One request of a client. It ends once: with what it came to, or, dropped without that, as broken off.
pub struct Request {
    scope: Scope,
    operation: Operation,
    key: Key,
    started: Instant,
    bytes: u64,
    ended: bool,
    /// For a transfer: its place among those under way.
    under_way: Option<UnderWay>,
    turn: Option<Turn>,
}

/// How a request ended.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// As it was asked, on or from these nodes; others were left out for these reasons.
    Done(&'a [Uuid], &'a [NodeFailure]),
    /// The answer is no: not there, or not done for a reason that the client may ask about again.
    No,
    /// It failed.
    Failed {
        /// Who must act.
        kind: ErrorKind,
        /// Why, for people.
        reason: String,
    },
}

/// A result that says by itself how the request ended which it is the result of.
pub trait Settled {
    /// Returns how the request ended.
    fn outcome(&self) -> Outcome<'_>;
}

impl Scope {
    /// Begins a request.
    pub fn request(&self, operation: Operation, key: &Key) -> Request {
        let Self { traffic, who, repo, door } = self;
        let under_way = operation.moves_content().then(|| traffic.under_way(who, repo, door, operation, key));
        let (scope, key, started) = (self.clone(), key.clone(), Instant::now());
        Request { scope, operation, key, started, bytes: 0, ended: false, under_way, turn: None }
    }
}

impl Request {
    /// Returns the key that it is about.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Returns after how long without a byte it is broken off.
    pub fn stalled(&self) -> Duration {
        self.scope.traffic.stalled()
    }

    /// Waits for a turn to transfer content.
    pub async fn turn(&mut self) -> Result<(), Busy> {
        self.waits(true);
        let turn = self.scope.traffic.turn(&self.scope.who).await;
        self.waits(false);
        self.turn = Some(turn?);
        Ok(())
    }

    fn waits(&self, waits: bool) {
        if let Some(under_way) = &self.under_way {
            under_way.waits(waits);
        }
    }

    /// Counts bytes of content that pass, and waits as long as the limits ask for.
    pub async fn pass(&mut self, bytes: usize) {
        if let Some(turn) = &mut self.turn {
            turn.moved().await;
        }
        self.bytes += bytes as u64;
        self.scope.traffic.pass(&self.scope.who, self.operation, self.scope.door, bytes).await;
        if let Some(under_way) = &self.under_way {
            under_way.passed(self.bytes);
        }
    }

    /// Ends the request with its result, and returns that.
    pub fn settle<T: Settled, E: HasKind>(self, result: Result<T, E>) -> Result<T, E> {
        match &result {
            Ok(settled) => self.end(&settled.outcome()),
            Err(error) => self.end(&Outcome::failed(error)),
        }
        result
    }

    /// Goes on with what was found. If there is nothing, or an error, that is the request's end.
    pub fn go_on_with<T, E: HasKind>(self, found: Result<Option<T>, E>) -> Result<Option<(Self, T)>, E> {
        match found {
            Ok(Some(found)) => Ok(Some((self, found))),
            Ok(None) => {
                self.end(&Outcome::No);
                Ok(None)
            }
            Err(error) => {
                self.fail(&error);
                Err(error)
            }
        }
    }

    /// Ends the request with an error.
    pub fn fail(self, error: &impl HasKind) {
        self.end(&Outcome::failed(error));
    }

    /// Sends the content that comes from a stream, `size` bytes, and ends with it. That is at the last byte: nobody asks
    /// for more when all that was announced is there.
    pub fn send<E: HasKind>(
        self,
        size: u64,
        content: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> impl Stream<Item = Result<Bytes, E>> {
        stream::unfold(Some((self, content, size)), async |state| {
            let (mut request, mut content, left) = state?;
            let next = content.next().await;
            match &next {
                Some(Ok(bytes)) => {
                    request.pass(bytes.len()).await;
                    let left = left.saturating_sub(bytes.len() as u64);
                    if left > 0 {
                        return next.map(|bytes| (bytes, Some((request, content, left))));
                    }
                    request.end(&Outcome::Done(&[], &[]));
                }
                Some(Err(error)) => request.fail(error),
                None => request.end(&Outcome::Done(&[], &[])),
            }
            next.map(|bytes| (bytes, None))
        })
    }

    /// Ends the request and logs it.
    pub fn end(mut self, outcome: &Outcome<'_>) {
        self.log(outcome);
    }

    fn log(&mut self, outcome: &Outcome<'_>) {
        self.ended = true;
        let Scope { traffic, who, repo, door } = &self.scope;
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (result, nodes, kind, reason) = match outcome {
            Outcome::Done(nodes, []) => ("done", traffic.names(nodes), "", String::new()),
            Outcome::Done(nodes, left_out) => {
                let kind = ErrorKind::of_all(left_out.iter().map(HasKind::kind));
                ("done", traffic.names(nodes), kind.as_str(), joined(left_out))
            }
            Outcome::No => ("no", String::new(), "", String::new()),
            Outcome::Failed { kind, reason } => ("failed", String::new(), kind.as_str(), reason.clone()),
        };
        traffic.counters().ended(self.operation, door, result);
        tracing::info!(
            target: "annex_keep::request",
            user = %who, repository = %repo, door, operation = %self.operation, key = %self.key, nodes,
            bytes = self.bytes, milliseconds = millis, outcome = result, kind, reason, "request"
        );
    }
}

impl Outcome<'_> {
    /// The end of a request that failed with an error.
    pub fn failed(error: &impl HasKind) -> Self {
        Self::Failed { kind: error.kind(), reason: error.to_string() }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.ended {
            self.log(&Outcome::Failed { kind: ErrorKind::BrokenOff, reason: "broken off".to_owned() });
        }
    }
}

/// Yes or no.
impl Settled for bool {
    fn outcome(&self) -> Outcome<'_> {
        if *self { Outcome::Done(&[], &[]) } else { Outcome::No }
    }
}

/// The nodes that have the content; none is a no.
impl Settled for Vec<Uuid> {
    fn outcome(&self) -> Outcome<'_> {
        if self.is_empty() { Outcome::No } else { Outcome::Done(self, &[]) }
    }
}

impl Settled for Stored {
    fn outcome(&self) -> Outcome<'_> {
        Outcome::Done(&self.nodes, &self.left_out)
    }
}

/// What is not removed everywhere is not removed.
impl Settled for Removed {
    fn outcome(&self) -> Outcome<'_> {
        match self.failures.as_slice() {
            [] => Outcome::Done(&self.gone, &[]),
            failures => Outcome::Failed { kind: self.kind(), reason: joined(failures) },
        }
    }
}

/// The size of content that is there.
impl Settled for u64 {
    fn outcome(&self) -> Outcome<'_> {
        Outcome::Done(&[], &[])
    }
}

/// The name of a lock that was taken.
impl Settled for String {
    fn outcome(&self) -> Outcome<'_> {
        Outcome::Done(&[], &[])
    }
}

/// None is a no.
impl<T: Settled> Settled for Option<T> {
    fn outcome(&self) -> Outcome<'_> {
        self.as_ref().map_or(Outcome::No, Settled::outcome)
    }
}
