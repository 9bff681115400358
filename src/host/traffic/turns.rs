//! Who may transfer now, and who waits.
//!
//! A free turn goes to the waiting user with the fewest transfers under way; among equals, to whoever came first. A
//! transfer that waits for its user's own limit takes no turn of the site. When the queue is full, the user with most
//! in it is told to come again later.
//!
//! A stalled transfer loses its turn: one that has moved nothing for a while loses it as soon as somebody waits for
//! one, and waits for another turn when its client moves again. So stalled clients, however many, delay nobody.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annex_gateway::site::config::Limits;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::limits::{Busy, user_limits};
use crate::host::caller::Who;

/// The turns of a process.
pub(super) struct Turns(Mutex<Queue>);

/// How often a waiting transfer looks for stalled ones.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A transfer that has never moved anything counts as stalled after a part of that time: many clients may begin uploads
/// and then send nothing.
const PART_IF_NOTHING_MOVED: u32 = 5;

struct Queue {
    limits: Limits,
    next: u64,
    running: HashMap<u64, Running>,
    waiting: VecDeque<Waiter>,
}

struct Running {
    who: Who,
    /// When it had its turn.
    since: Instant,
    /// When it moved something.
    moved: Option<Instant>,
}

struct Waiter {
    id: u64,
    who: Who,
    /// Dropped unused, it tells that the queue is full.
    grant: oneshot::Sender<()>,
}

/// A place in the queue, then a turn; given back when dropped.
pub(super) struct Turn {
    turns: Arc<Turns>,
    id: u64,
    who: Option<Who>,
}

impl Turns {
    pub(super) fn new(limits: &Limits) -> Self {
        let (running, waiting) = (HashMap::new(), VecDeque::new());
        Self(Mutex::new(Queue { limits: limits.clone(), next: 0, running, waiting }))
    }

    pub(super) fn set_limits(&self, limits: &Limits) {
        let mut queue = self.lock();
        queue.limits = limits.clone();
        queue.admit();
    }

    /// Waits for a turn. Whoever stops waiting loses the place.
    pub(super) async fn take(self: &Arc<Self>, who: &Who) -> Result<Turn, Busy> {
        let (turn, granted) = self.enter(who);
        turn.wait(granted).await.map_err(|_| Busy)?;
        Ok(turn)
    }

    fn enter(self: &Arc<Self>, who: &Who) -> (Turn, oneshot::Receiver<()>) {
        let entered = self.enter_at(who, VecDeque::push_back);
        self.lock().shorten(who);
        entered
    }

    /// Enters the queue at one of its ends, however long it is.
    fn enter_at(
        self: &Arc<Self>,
        who: &Who,
        push: impl FnOnce(&mut VecDeque<Waiter>, Waiter),
    ) -> (Turn, oneshot::Receiver<()>) {
        let (grant, granted) = oneshot::channel();
        let mut queue = self.lock();
        let id = queue.next;
        queue.next += 1;
        push(&mut queue.waiting, Waiter { id, who: who.clone(), grant });
        queue.admit();
        (Turn { turns: Arc::clone(self), id, who: Some(who.clone()) }, granted)
    }

    /// Returns how many transfers run, and how many wait.
    pub(super) fn count(&self) -> (usize, usize) {
        let queue = self.lock();
        (queue.running.len(), queue.waiting.len())
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    async fn wait(&self, mut granted: oneshot::Receiver<()>) -> Result<(), oneshot::error::RecvError> {
        loop {
            match tokio::time::timeout(LOOK_EVERY, &mut granted).await {
                Ok(granted) => return granted,
                // The first in the queue looks for stalled transfers, on behalf of all.
                Err(_elapsed) => self.turns.lock().look_again(self.id),
            }
        }
    }

    /// Notes that bytes move now. A transfer that has lost its turn waits for another.
    pub(super) async fn moved(&mut self) {
        let lost = match self.turns.lock().running.get_mut(&self.id) {
            Some(running) => {
                running.moved = Some(Instant::now());
                None
            }
            None => self.who.take(),
        };
        if let Some(who) = lost {
            // A transfer that resumes comes before those that begin: otherwise a slow client would wait for all of them
            // again and again. No transfer is refused in its middle; an error here means that the program ends.
            let (turn, granted) = self.turns.enter_at(&who, VecDeque::push_front);
            let _granted = turn.wait(granted).await;
            *self = turn;
        }
    }
}

impl Queue {
    /// Gives out turns, and takes them from stalled transfers while others wait.
    fn admit(&mut self) {
        self.grant();
        if !self.waiting.is_empty() {
            let running = self.running.len();
            let still = self.limits.turn;
            self.running.retain(|_, running| match running.moved {
                Some(moved) => moved.elapsed() < still,
                None => running.since.elapsed() < still / PART_IF_NOTHING_MOVED,
            });
            if self.running.len() < running {
                self.grant();
            }
        }
    }

    fn look_again(&mut self, waiter: u64) {
        if self.waiting.front().is_some_and(|first| first.id == waiter) {
            self.admit();
        }
    }

    fn grant(&mut self) {
        while self.running.len() < self.limits.transfers && !self.waiting.is_empty() {
            let mut busy: HashMap<&Who, usize> = HashMap::new();
            for Running { who, .. } in self.running.values() {
                *busy.entry(who).or_default() += 1;
            }
            let of = |who: &Who| busy.get(who).copied().unwrap_or(0);
            let may = |who: &Who| user_limits(&self.limits, who).transfers.is_none_or(|most| of(who) < most);
            let candidates = self.waiting.iter().enumerate().filter(|(_, waiter)| may(&waiter.who));
            let next = candidates.min_by_key(|(position, waiter)| (of(&waiter.who), *position));
            let Some(next) = next.map(|(position, _)| position) else { return };
            let Some(waiter) = self.waiting.remove(next) else { return };
            if waiter.grant.send(()).is_ok() {
                self.running.insert(waiter.id, Running { who: waiter.who, since: Instant::now(), moved: None });
            }
        }
    }

    /// Refuses a transfer if too many wait: the last one of the user with most of them; among equals, the newcomer.
    fn shorten(&mut self, newcomer: &Who) {
        while self.waiting.len() > self.limits.waiting {
            let mut waiting: HashMap<&Who, usize> = HashMap::new();
            for waiter in &self.waiting {
                *waiting.entry(&waiter.who).or_default() += 1;
            }
            let most = waiting.iter().max_by_key(|(who, count)| (**count, **who == newcomer));
            let Some(who) = most.map(|(who, _)| (*who).clone()) else { return };
            let Some(last) = self.waiting.iter().rposition(|waiter| waiter.who == who) else { return };
            self.waiting.remove(last);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut queue = self.turns.lock();
        if queue.running.remove(&self.id).is_none() {
            queue.waiting.retain(|waiter| waiter.id != self.id);
        }
        queue.admit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use annex_gateway::site::config::Config;

    fn turns(limits: &str) -> Arc<Turns> {
        Arc::new(Turns::new(&parsed(limits)))
    }

    fn parsed(limits: &str) -> Limits {
        let node = "[nodes.a]\nid = \"59a5eba9-ef36-4fc5-b11d-effc1bd2effc\"\nstore = \"keep:/a\"\n";
        Config::parse(&format!("[limits]\n{limits}\n{node}")).unwrap().limits
    }

    fn user(name: &str) -> Who {
        Who::User(name.to_owned())
    }

    /// What became of a place in the queue.
    fn state(granted: &mut oneshot::Receiver<()>) -> &'static str {
        match granted.try_recv() {
            Ok(()) => "turn",
            Err(oneshot::error::TryRecvError::Empty) => "waits",
            Err(oneshot::error::TryRecvError::Closed) => "busy",
        }
    }

    #[test]
    fn who_waits_for_a_turn_of_their_own_holds_nobody_else_up() {
        let turns = turns("transfers = 2\n[limits.each_user]\ntransfers = 1");
        let (first, mut granted) = turns.enter(&user("alice"));
        assert_eq!(state(&mut granted), "turn");
        let (_second, mut second) = turns.enter(&user("alice"));
        let (_other, mut other) = turns.enter(&user("bob"));
        assert_eq!((state(&mut second), state(&mut other)), ("waits", "turn"));
        assert_eq!(turns.count(), (2, 1));
        drop(first);
        assert_eq!(state(&mut second), "turn");
    }

    #[test]
    fn a_free_turn_goes_to_the_user_with_the_fewest() {
        let turns = turns("transfers = 2");
        let (first, _first) = turns.enter(&user("alice"));
        let (_second, _granted) = turns.enter(&user("alice"));
        let (_third, mut third) = turns.enter(&user("alice"));
        let (_other, mut other) = turns.enter(&user("bob"));
        drop(first);
        assert_eq!((state(&mut third), state(&mut other)), ("waits", "turn"));
    }

    #[test]
    fn a_full_queue_sends_away_the_user_who_fills_it() {
        let turns = turns("transfers = 1\nwaiting = 2");
        let (_turn, _granted) = turns.enter(&user("alice"));
        let (_a, mut a) = turns.enter(&user("alice"));
        let (_b, mut b) = turns.enter(&user("alice"));
        let (_c, mut c) = turns.enter(&user("alice"));
        assert_eq!((state(&mut a), state(&mut b), state(&mut c)), ("waits", "waits", "busy"));
        let (_d, mut d) = turns.enter(&user("bob"));
        assert_eq!((state(&mut a), state(&mut b), state(&mut d)), ("waits", "busy", "waits"));
    }

    #[test]
    fn whoever_stops_waiting_gives_everything_back() {
        let turns = turns("transfers = 1");
        let (first, _first) = turns.enter(&user("alice"));
        let (second, granted) = turns.enter(&user("bob"));
        drop((second, granted));
        assert_eq!(turns.count(), (1, 0));
        let (third, granted) = turns.enter(&user("bob"));
        drop(first);
        // The turn came, but nobody looks any more.
        drop(granted);
        assert_eq!(turns.count(), (1, 0));
        drop(third);
        assert_eq!(turns.count(), (0, 0));
    }

    #[tokio::test]
    async fn who_stands_still_loses_the_turn_to_whoever_waits() {
        let turns = turns("transfers = 2\n[limits.each_user]\ntransfers = 1");
        let still_for = Duration::from_secs(1);
        let (mut still, alice, bob) = (turns.take(&user("alice")).await.unwrap(), user("alice"), user("bob"));
        tokio::time::sleep(still_for).await;
        still.moved().await;
        assert_eq!(turns.count(), (1, 0), "nobody waits: it keeps the turn");
        let started = Instant::now();
        let mut moving = turns.take(&alice).await.unwrap();
        moving.moved().await;
        assert!(started.elapsed() >= still_for / 2, "it had moved just now");
        let mut other = turns.take(&bob).await.unwrap();
        other.moved().await;
        let mut waiting = tokio::spawn(async move {
            still.moved().await;
            still
        });
        assert!(tokio::time::timeout(still_for / 4, &mut waiting).await.is_err(), "it waits for another turn");
        drop(moving);
        let again = waiting.await.unwrap();
        assert_eq!(turns.count(), (2, 0));
        drop((again, other));
        assert_eq!(turns.count(), (0, 0));
    }

    #[test]
    fn new_limits_let_waiting_transfers_go_on() {
        let turns = turns("transfers = 1");
        let (_first, _granted) = turns.enter(&user("alice"));
        let (_second, mut second) = turns.enter(&user("alice"));
        assert_eq!(state(&mut second), "waits");
        turns.set_limits(&parsed("transfers = 2"));
        assert_eq!(state(&mut second), "turn");
    }
}
