//! What clients and admins were told, and whether it is so.
//!
//! A copy is named by the numbers of its content and its node. What a node in the habit of lying says is nobody's fault: of
//! such a node nothing is expected, and of all others everything.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use annex_gateway::gateway::Locked;
use tokio::time::Instant;

use crate::client::Subject;
use crate::house::{House, Whom};

/// How long a client relies on a lock, from before it asked for it.
const LOCKED: Duration = Duration::from_secs(600);

/// A content and a node.
pub(crate) type Copied = (usize, usize);

/// What was told.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Copies that somebody was told of, and that nothing has happened to since that may have removed them.
    promised: BTreeSet<Copied>,
    /// Copies that were damaged behind the gateway's back.
    damaged: BTreeSet<Copied>,
    /// Copies of which a client has sent wrong bytes and broken off: the next upload may stumble over them.
    spoiled: BTreeSet<Copied>,
    /// Locks that were granted and not given back.
    pub(crate) locks: Vec<Held>,
    /// When each content was locked or such a lock renewed last.
    touched: HashMap<usize, Instant>,
}

/// A lock that a client was told of.
pub(crate) struct Held {
    pub(crate) subject: usize,
    pub(crate) whom: Whom,
    grip: Mutex<Grip>,
    /// Until when the client relies on it.
    pub(crate) until: Instant,
    /// Whether nothing has happened behind the gateway's back to what it keeps.
    pub(crate) sound: bool,
}

/// What a client has of a lock.
pub(crate) enum Grip {
    /// A connection that keeps it.
    Connection(Locked),
    /// A name, by which another connection finds it.
    Name(String),
    /// Nothing: it was lost with its connection, and lasts until its end.
    Lost,
}

impl Held {
    /// A lock that somebody was told of who relies on it from `began` on.
    pub(crate) fn new(subject: usize, whom: Whom, grip: Grip, began: Instant) -> Self {
        Self { subject, whom, grip: Mutex::new(grip), until: began + LOCKED, sound: true }
    }

    /// Takes what the client has of it.
    pub(crate) fn take(&self) -> Grip {
        std::mem::replace(&mut self.grip.lock().unwrap(), Grip::Lost)
    }

    /// Notes that it was renewed by somebody who began at `began`, and what the client has of it now.
    pub(crate) fn renewed(&mut self, began: Instant, renewed: bool, grip: Grip) {
        *self.grip.get_mut().unwrap() = grip;
        if renewed {
            self.until = began + LOCKED;
        }
    }

    /// Ends the connection that keeps it, if one does.
    fn lose_connection(&mut self) {
        let grip = self.grip.get_mut().unwrap();
        if matches!(grip, Grip::Connection(_)) {
            *grip = Grip::Lost;
        }
    }

    pub(crate) fn lasts(&self) -> bool {
        Instant::now() < self.until
    }

    /// Tells whether it keeps the content of this node, or may do.
    pub(crate) fn may_keep(&self, copy: Copied) -> bool {
        self.subject == copy.0 && self.lasts() && (self.whom == Whom::Cluster || self.whom == Whom::Node(copy.1))
    }
}

impl Ledger {
    /// Notes that somebody was told of a copy.
    pub(crate) fn promise(&mut self, copy: Copied) {
        self.promised.insert(copy);
        self.spoiled.remove(&copy);
    }

    /// Notes that a node may have kept wrong bytes.
    pub(crate) fn spoil(&mut self, copy: Copied) {
        self.spoiled.insert(copy);
    }

    pub(crate) fn is_spoiled(&self, subject: usize) -> bool {
        self.spoiled.iter().any(|copy| copy.0 == subject)
    }

    /// Notes that a copy may be gone from now on.
    pub(crate) fn release(&mut self, copy: Copied) {
        self.promised.remove(&copy);
    }

    /// Notes that something happened to a copy behind the gateway's back.
    pub(crate) fn tampered(&mut self, copy: Copied, damaged: bool) {
        self.promised.remove(&copy);
        if damaged {
            self.damaged.insert(copy);
        }
        for lock in self.locks.iter_mut().filter(|lock| lock.may_keep(copy)) {
            lock.sound = false;
        }
    }

    /// Notes that a node cannot be believed any more.
    pub(crate) fn distrust(&mut self, node: usize) {
        self.promised.retain(|copy| copy.1 != node);
        for lock in self.locks.iter_mut().filter(|lock| lock.whom == Whom::Cluster || lock.whom == Whom::Node(node)) {
            lock.sound = false;
        }
    }

    /// Notes that a content was locked, or a lock of it renewed.
    pub(crate) fn touch(&mut self, subject: usize) {
        self.touched.insert(subject, Instant::now());
    }

    /// Tells whether a node may hold a content still, of whose locks one was lost.
    pub(crate) fn may_be_held(&self, subject: usize) -> bool {
        self.touched.get(&subject).is_some_and(|touched| touched.elapsed() < LOCKED * 2)
    }

    /// Notes that the program was started anew: no connection is left.
    pub(crate) fn connections_lost(&mut self) {
        self.locks.iter_mut().for_each(Held::lose_connection);
    }

    /// Returns the copies that somebody was told of.
    pub(crate) fn promised(&self) -> BTreeSet<Copied> {
        self.promised.clone()
    }

    pub(crate) fn is_damaged(&self, subject: usize) -> bool {
        self.damaged.iter().any(|copy| copy.0 == subject)
    }

    /// Returns the nodes of which somebody was told that they have a content.
    pub(crate) fn holders(&self, subject: usize) -> BTreeSet<usize> {
        self.promised.iter().filter(|copy| copy.0 == subject).map(|copy| copy.1).collect()
    }

    /// Holds what was told against what the nodes have.
    pub(crate) fn check(&mut self, house: &House) {
        self.damaged.retain(|(subject, node)| house.copy(*subject, *node).is_some() && !house.has(*subject, *node));
        self.locks.retain(Held::lasts);
        for (subject, node) in &self.promised {
            assert!(house.has(*subject, *node), "content {subject} was told to be on node {node}, and is not");
        }
        for subject in 0..house.subjects.len() {
            let (promised, logged) = (self.holders(subject), house.logged(subject));
            assert!(promised.is_subset(&logged), "content {subject} is on {promised:?}, the log says {logged:?}");
        }
        for (number, Subject { bytes, .. }) in house.subjects.iter().enumerate() {
            for node in 0..house.nodes.len() {
                let right = house.copy(number, node).is_none_or(|copy| copy == *bytes);
                assert!(
                    right || self.damaged.contains(&(number, node)),
                    "node {node} has something else than content {number}"
                );
            }
        }
        for lock in self.locks.iter().filter(|lock| lock.sound) {
            let there = match lock.whom {
                Whom::Node(node) => house.has(lock.subject, node),
                Whom::Cluster => (0..house.nodes.len()).any(|node| house.has(lock.subject, node)),
            };
            assert!(there, "content {} is gone from {:?}, where it is locked", lock.subject, lock.whom);
        }
    }
}
