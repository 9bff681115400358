//! Connections to one server, kept for reuse.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use annex_protocol::p2p::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::connection::{Connection, Lost};
use super::program::Program;
use crate::node::error::NodeError;
use crate::node::patience::Patience;
use crate::node::peer::Peer;

/// How many connections a node may have.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Requests at once; more wait for their turn.
    pub requests: usize,
    /// Locks held at once, each with a connection of its own; for more one waits, too.
    pub locks: usize,
    /// Idle connections that are kept.
    pub idle: usize,
    /// How long they are kept.
    pub idle_time: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { requests: 32, locks: 64, idle: 8, idle_time: Duration::from_secs(120) }
    }
}

pub(super) struct Pool {
    program: Program,
    patience: Patience,
    bounds: Bounds,
    idle: Mutex<Vec<Idle>>,
    requests: Arc<Semaphore>,
    locks: Arc<Semaphore>,
    /// Somebody looks for connections that were idle too long.
    swept: AtomicBool,
}

struct Idle {
    connection: Connection,
    peer: Arc<Peer>,
    since: Instant,
}

/// A connection for one request. Dropped without being given back, it is closed.
pub(super) struct Lease {
    pub(super) connection: Connection,
    pool: Arc<Pool>,
    peer: Arc<Peer>,
    _turn: OwnedSemaphorePermit,
}

/// For what a connection is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Request,
    Lock,
}

impl Pool {
    pub(super) fn new(program: Program, patience: Patience, bounds: Bounds) -> Self {
        let (requests, locks) = (Semaphore::new(bounds.requests), Semaphore::new(bounds.locks));
        let (requests, locks) = (Arc::new(requests), Arc::new(locks));
        Self { program, patience, bounds, idle: Mutex::default(), requests, locks, swept: AtomicBool::new(false) }
    }

    pub(super) fn patience(&self) -> Patience {
        self.patience
    }

    /// Sends a request and returns its answer, with the connection that it came on.
    ///
    /// A kept connection that turns out to be broken is replaced by a new one, once. So a request that is sent this way
    /// must do no harm when it is done twice.
    pub(super) async fn ask(
        self: &Arc<Self>,
        purpose: Purpose,
        peer: &Arc<Peer>,
        request: &Message,
    ) -> Result<(Lease, Message), Lost> {
        let turn = self.turn(purpose).await?;
        if let Some(mut connection) = self.take_idle(peer) {
            match connection.ask(request).await {
                Ok(answer) => return Ok((self.lease(connection, peer, turn), answer)),
                Err(lost @ Lost { hung: true, .. }) => return Err(lost),
                Err(Lost { error, .. }) => tracing::debug!("a kept connection was broken: {error}"),
            }
        }
        let mut connection = Connection::open(&self.program, peer, self.patience).await?;
        let answer = connection.ask(request).await?;
        Ok((self.lease(connection, peer, turn), answer))
    }

    fn lease(self: &Arc<Self>, connection: Connection, peer: &Arc<Peer>, turn: OwnedSemaphorePermit) -> Lease {
        Lease { connection, pool: Arc::clone(self), peer: Arc::clone(peer), _turn: turn }
    }

    async fn turn(&self, purpose: Purpose) -> Result<OwnedSemaphorePermit, NodeError> {
        let (turns, most, what) = match purpose {
            Purpose::Request => (&self.requests, self.bounds.requests, "requests"),
            Purpose::Lock => (&self.locks, self.bounds.locks, "locks"),
        };
        match timeout(self.patience.answer, Arc::clone(turns).acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(NodeError::Unreachable(format!("all of its {most} {what} are in use"))),
        }
    }

    fn take_idle(&self, peer: &Peer) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // The one used last: it is the likeliest to live.
        let position = idle.iter().rposition(|idle| idle.peer.bypass == peer.bypass)?;
        Some(idle.remove(position).connection)
    }

    fn keep(self: &Arc<Self>, connection: Connection, peer: Arc<Peer>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(Idle { connection, peer, since: Instant::now() });
        let surplus = idle.len().saturating_sub(self.bounds.idle);
        let closed: Vec<Idle> = idle.drain(..surplus).collect();
        drop(idle);
        drop(closed);
        if !self.swept.swap(true, Ordering::AcqRel) {
            let pool = Arc::downgrade(self);
            let every = self.bounds.idle_time;
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(every).await;
                    if !pool.upgrade().is_some_and(|pool| pool.sweep()) {
                        break;
                    }
                }
            });
        }
    }

    /// Closes what was idle too long. Tells whether something is left to look after.
    fn sweep(&self) -> bool {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| idle.since.elapsed() < self.bounds.idle_time);
        let left = !idle.is_empty();
        self.swept.store(left, Ordering::Release);
        left
    }
}

impl Lease {
    /// Gives the connection back: the server waits for the next request.
    pub(super) fn give_back(self) {
        let Self { connection, pool, peer, _turn } = self;
        pool.keep(connection, peer);
    }
}
