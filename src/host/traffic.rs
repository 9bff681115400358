//! What goes on: who does what, how much of it, within which limits, and the line that is logged about each request.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use annex_gateway::gateway::{NodeFailure, Stored, joined};
use annex_gateway::site::RepoName;
use annex_gateway::site::config::{Limits, UserLimits};
use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;
use serde::{Deserialize, Serialize};

use self::rates::Rates;
use self::turns::{Turn, Turns};
use crate::host::caller::Who;
use crate::host::metrics::Counters;

mod rates;
mod turns;

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

struct Inner {
    turns: Arc<Turns>,
    rates: Rates,
    counters: Counters,
    connections: AtomicUsize,
    most_connections: AtomicUsize,
    stalled_seconds: AtomicU64,
    /// Transfers under way, in the order in which they came.
    transfers: Mutex<BTreeMap<u64, Arc<Live>>>,
    next: AtomicU64,
    /// What the nodes of open repositories are called.
    names: RwLock<HashMap<Uuid, String>>,
}

/// A transfer under way.
struct Live {
    who: Who,
    repo: RepoName,
    door: &'static str,
    operation: Operation,
    key: Key,
    started: Instant,
    bytes: AtomicU64,
    waits: AtomicBool,
}

/// A transfer under way, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// For whom.
    pub user: String,
    /// In which repository.
    pub repository: String,
    /// Through which door.
    pub door: String,
    /// `get` or `put`.
    pub operation: String,
    /// Of which key.
    pub key: String,
    /// Bytes that have passed.
    pub bytes: u64,
    /// Seconds since it was asked for.
    pub seconds: u64,
    /// Whether it waits for its turn.
    pub waits: bool,
}

/// A connection of a client, counted until it is dropped.
pub struct Connected {
    traffic: Traffic,
    door: &'static str,
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
    /// For a transfer: its place among those under way.
    live: Option<(u64, Arc<Live>)>,
    turn: Option<Turn>,
}

/// How a request ended.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// As it was asked, on or from these nodes.
    Done(&'a [Uuid]),
    /// As it was asked, on these nodes; others were left out for these reasons.
    Partly(&'a [Uuid], &'a [NodeFailure]),
    /// The answer is no: not there, or not done for a reason that the client may ask about again.
    No,
    /// It failed.
    Failed(&'a str),
}

/// So much is going on that the client should come again later.
#[derive(Debug, thiserror::Error)]
#[error("the server is busy: too many transfers are waiting; try again later")]
pub struct Busy;

/// So many are connected that the client should come again later.
#[derive(Debug, thiserror::Error)]
#[error("the server is busy: too many connections are open; try again later")]
pub struct Crowded;

/// Returns the limits of whoever asks. Who has the site's files in hand has none of their own.
fn user_limits(limits: &Limits, who: &Who) -> UserLimits {
    match who {
        Who::Owner => UserLimits::default(),
        Who::User(name) => limits.user(name),
        // All without a name are one user.
        Who::Anonymous => limits.user("anonymous"),
    }
}

impl Traffic {
    /// Makes the account of a process.
    pub fn new(limits: &Limits) -> Self {
        Self(Arc::new(Inner {
            turns: Arc::new(Turns::new(limits)),
            rates: Rates::new(limits),
            counters: Counters::default(),
            connections: AtomicUsize::new(0),
            most_connections: AtomicUsize::new(limits.connections),
            stalled_seconds: AtomicU64::new(limits.stalled.as_secs()),
            transfers: Mutex::default(),
            next: AtomicU64::new(0),
            names: RwLock::default(),
        }))
    }

    /// Takes new limits, for what waits and runs too.
    pub fn set_limits(&self, limits: &Limits) {
        self.0.turns.set_limits(limits);
        self.0.rates.set_limits(limits);
        self.0.most_connections.store(limits.connections, Ordering::Relaxed);
        self.0.stalled_seconds.store(limits.stalled.as_secs(), Ordering::Relaxed);
    }

    /// Returns after how long without a byte a transfer is broken off.
    pub fn stalled(&self) -> Duration {
        Duration::from_secs(self.0.stalled_seconds.load(Ordering::Relaxed))
    }

    /// Counts a connection, unless there are too many.
    pub fn connect(&self, door: &'static str) -> Result<Connected, Crowded> {
        let before = self.0.connections.fetch_add(1, Ordering::Relaxed);
        // Counted, so that dropping it counts it off again.
        let connected = Connected { traffic: self.clone(), door };
        self.0.counters.connected(door);
        if before < self.0.most_connections.load(Ordering::Relaxed) { Ok(connected) } else { Err(Crowded) }
    }

    /// Returns how many connections there are.
    pub fn connections(&self) -> usize {
        self.0.connections.load(Ordering::Relaxed)
    }

    /// Returns how many transfers have their turn, and how many wait for it.
    pub fn running_and_waiting(&self) -> (usize, usize) {
        self.0.turns.count()
    }

    /// Returns the transfers under way, oldest first.
    pub fn transfers(&self) -> Vec<Transfer> {
        self.0.transfers.lock().unwrap_or_else(PoisonError::into_inner).values().map(|live| live.shown()).collect()
    }

    /// Learns what nodes are called, for the log.
    pub fn name_nodes<'a>(&self, nodes: impl Iterator<Item = (&'a Uuid, &'a str)>) {
        let mut names = self.0.names.write().unwrap_or_else(PoisonError::into_inner);
        names.extend(nodes.map(|(uuid, name)| (uuid.clone(), name.to_owned())));
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    fn names(&self, uuids: &[Uuid]) -> String {
        let known = self.0.names.read().unwrap_or_else(PoisonError::into_inner);
        let name = |uuid: &Uuid| known.get(uuid).cloned().unwrap_or_else(|| uuid.to_string());
        uuids.iter().map(name).collect::<Vec<_>>().join(",")
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.traffic.0.connections.fetch_sub(1, Ordering::Relaxed);
        self.traffic.0.counters.disconnected(self.door);
    }
}

impl Live {
    fn shown(&self) -> Transfer {
        Transfer {
            user: self.who.to_string(),
            repository: self.repo.to_string(),
            door: self.door.to_owned(),
            operation: self.operation.to_string(),
            key: self.key.to_string(),
            bytes: self.bytes.load(Ordering::Relaxed),
            seconds: self.started.elapsed().as_secs(),
            waits: self.waits.load(Ordering::Relaxed),
        }
    }
}

impl Scope {
    /// Begins a request.
    pub fn request(&self, operation: Operation, key: &Key) -> Request {
        let started = Instant::now();
        let live = matches!(operation, Operation::Get | Operation::Put).then(|| {
            let (who, repo, door, key) = (self.who.clone(), self.repo.clone(), self.door, key.clone());
            let (bytes, waits) = (AtomicU64::new(0), AtomicBool::new(false));
            let live = Arc::new(Live { who, repo, door, operation, key, started, bytes, waits });
            let id = self.traffic.0.next.fetch_add(1, Ordering::Relaxed);
            let mut transfers = self.traffic.0.transfers.lock().unwrap_or_else(PoisonError::into_inner);
            transfers.insert(id, Arc::clone(&live));
            (id, live)
        });
        Request { scope: self.clone(), operation, key: key.clone(), started, bytes: 0, ended: false, live, turn: None }
    }
}

impl Request {
    /// Returns after how long without a byte it is broken off.
    pub fn stalled(&self) -> Duration {
        self.scope.traffic.stalled()
    }

    /// Waits for a turn to transfer content.
    pub async fn turn(&mut self) -> Result<(), Busy> {
        self.waits(true);
        let turn = self.scope.traffic.0.turns.take(&self.scope.who).await;
        self.waits(false);
        self.turn = Some(turn?);
        Ok(())
    }

    fn waits(&self, waits: bool) {
        if let Some((_, live)) = &self.live {
            live.waits.store(waits, Ordering::Relaxed);
        }
    }

    /// Counts bytes of content that pass, and waits as long as the limits ask for.
    pub async fn pass(&mut self, bytes: usize) {
        if let Some(turn) = &mut self.turn {
            turn.moved().await;
        }
        self.bytes += bytes as u64;
        let Inner { rates, counters, .. } = &*self.scope.traffic.0;
        rates.pass(&self.scope.who, bytes).await;
        counters.passed(self.operation, self.scope.door, bytes as u64);
        if let Some((_, live)) = &self.live {
            live.bytes.store(self.bytes, Ordering::Relaxed);
        }
    }

    /// Ends the request and logs it.
    pub fn end(mut self, outcome: &Outcome<'_>) {
        self.log(outcome);
    }

    fn log(&mut self, outcome: &Outcome<'_>) {
        self.ended = true;
        let Scope { traffic, who, repo, door } = &self.scope;
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (result, nodes, reason) = match outcome {
            Outcome::Done(nodes) => ("done", traffic.names(nodes), String::new()),
            Outcome::Partly(nodes, reasons) => ("done", traffic.names(nodes), joined(reasons)),
            Outcome::No => ("no", String::new(), String::new()),
            Outcome::Failed(reason) => ("failed", String::new(), (*reason).to_owned()),
        };
        traffic.0.counters.ended(self.operation, door, result);
        tracing::info!(
            target: "annex_keep::request",
            user = %who, repository = %repo, door, operation = %self.operation, key = %self.key, nodes,
            bytes = self.bytes, milliseconds = millis, outcome = result, reason, "request"
        );
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if let Some((id, _)) = &self.live {
            self.scope.traffic.0.transfers.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        }
        if !self.ended {
            self.log(&Outcome::Failed("broken off"));
        }
    }
}

impl<'a> Outcome<'a> {
    /// Returns how an upload ended that was stored.
    pub fn stored(stored: &'a Stored) -> Self {
        Self::Partly(&stored.nodes, &stored.left_out)
    }
}

impl Operation {
    /// Returns its name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CheckPresent => "checkpresent",
            Self::Get => "get",
            Self::Put => "put",
            Self::Remove => "remove",
            Self::Lock => "lock",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
