//! The account of a process: its connections, its transfers under way, and the limits that hold for them.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use annex_gateway::site::RepoName;
use annex_gateway::site::config::Limits;
use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;
use serde::{Deserialize, Serialize};

use super::counters::Counters;
use super::limits::{Busy, Crowded};
use super::operation::Operation;
use super::rates::Rates;
use super::turns::{Turn, Turns};
use crate::host::caller::Who;

/// What goes on in all doors. Cloning is cheap.
#[derive(Clone)]
pub struct Traffic(Arc<Account>);

struct Account {
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

/// A transfer's place among those under way, until it is dropped.
pub(super) struct UnderWay {
    traffic: Traffic,
    id: u64,
    live: Arc<Live>,
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

impl Traffic {
    /// Makes the account of a process.
    pub fn new(limits: &Limits) -> Self {
        Self(Arc::new(Account {
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
        self.transfers_under_way().values().map(|live| live.shown()).collect()
    }

    /// Learns what nodes are called, for the log.
    pub fn name_nodes<'a>(&self, nodes: impl Iterator<Item = (&'a Uuid, &'a str)>) {
        let mut names = self.0.names.write().unwrap_or_else(PoisonError::into_inner);
        names.extend(nodes.map(|(uuid, name)| (uuid.clone(), name.to_owned())));
    }

    /// Returns what is counted about requests.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Waits for a turn to transfer content.
    pub(super) async fn turn(&self, who: &Who) -> Result<Turn, Busy> {
        self.0.turns.take(who).await
    }

    /// Counts bytes of content that pass, and waits as long as the limits ask for.
    pub(super) async fn pass(&self, who: &Who, operation: Operation, door: &'static str, bytes: usize) {
        self.0.rates.pass(who, bytes).await;
        self.0.counters.passed(operation, door, bytes as u64);
    }

    /// Shows a transfer among those under way.
    pub(super) fn under_way(
        &self,
        who: &Who,
        repo: &RepoName,
        door: &'static str,
        operation: Operation,
        key: &Key,
    ) -> UnderWay {
        let (who, repo, key, started) = (who.clone(), repo.clone(), key.clone(), Instant::now());
        let (bytes, waits) = (AtomicU64::new(0), AtomicBool::new(false));
        let live = Arc::new(Live { who, repo, door, operation, key, started, bytes, waits });
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.transfers_under_way().insert(id, Arc::clone(&live));
        UnderWay { traffic: self.clone(), id, live }
    }

    fn transfers_under_way(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Live>>> {
        self.0.transfers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what nodes are called, in one text.
    pub(super) fn names(&self, uuids: &[Uuid]) -> String {
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

impl UnderWay {
    /// Tells how many bytes have passed.
    pub(super) fn passed(&self, bytes: u64) {
        self.live.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Tells whether it waits for its turn.
    pub(super) fn waits(&self, waits: bool) {
        self.live.waits.store(waits, Ordering::Relaxed);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.traffic.transfers_under_way().remove(&self.id);
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
