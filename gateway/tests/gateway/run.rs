//! Runs a story, and holds everything that is told against what nodes have.

use std::collections::BTreeSet;
use std::time::Duration;

use annex_gateway::gateway::{GatewayError, Removed, upkeep};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use crate::client::{Got, Sent, get, put};
use crate::house::{House, Whom};
use crate::judge::Scene;
use crate::ledger::{Copied, Grip, Held, Ledger};
use crate::op::{Act, Step, Story};

/// Nothing takes longer, whatever trouble nodes are in: who waits for more than that waits for ever.
pub(crate) const LONGEST: Duration = Duration::from_secs(6 * 3600);

/// What came of an act.
pub(crate) enum Told {
    Put(Result<Sent, GatewayError>),
    Got(Result<Option<Got>, GatewayError>),
    Present(Result<bool, GatewayError>),
    Locked(Instant, Result<Option<Grip>, GatewayError>),
    /// Of the lock at this position, with what the client has of it then.
    Renewed(usize, Instant, Grip, Result<(), GatewayError>),
    Unlocked(usize, Result<(), GatewayError>),
    Removed(Result<Removed, GatewayError>),
    /// There was no lock for it.
    Nothing,
}

/// Runs a story from its beginning to its end.
pub(crate) async fn run(story: &Story) {
    let mut house = House::new(story.nodes, story.numcopies, &story.unwilling);
    for (node, (verifies, lockless)) in house.nodes.iter().zip(story.verifying.iter().zip(&story.lockless)) {
        node.memory.set_verifies(*verifies);
        node.memory.set_leaves_locks(*lockless);
    }
    let mut ledger = Ledger::default();
    for step in &story.steps {
        let done = timeout(LONGEST, take(step, &mut house, &mut ledger)).await;
        assert!(done.is_ok(), "it takes for ever: {step:?}");
        ledger.check(&house);
    }
    crate::ending::end(&mut house, &mut ledger).await;
}

async fn take(step: &Step, house: &mut House, ledger: &mut Ledger) {
    let in_range = |node: &usize| *node < house.nodes.len();
    match step {
        Step::Clients(acts) => clients(acts, house, ledger).await,
        Step::Wait(time) => sleep(*time).await,
        Step::Survey => {
            let gateway = house.gateway.clone();
            tokio::task::spawn_blocking(move || upkeep::survey(&gateway, false)).await.unwrap().unwrap();
        }
        Step::Restart => {
            house.restart();
            ledger.connections_lost();
        }
        Step::Trouble(node, trouble) if in_range(node) => {
            house.trouble(*node, *trouble);
            if house.lies(*node) {
                ledger.distrust(*node);
            }
        }
        Step::Lose { subject, node } if in_range(node) => {
            house.lose(*subject, *node);
            ledger.tampered((*subject, *node), false);
        }
        Step::Damage { subject, node, short } if in_range(node) => {
            let damaged = house.damage(*subject, *node, *short);
            ledger.tampered((*subject, *node), damaged);
        }
        Step::Repair(subject) => crate::upkeep::repair(*subject, house, ledger).await,
        Step::DropSurplus(subject) => crate::upkeep::drop_surplus(*subject, house, ledger).await,
        Step::Drain(node) if in_range(node) => crate::upkeep::drain(*node, house, ledger).await,
        Step::Scrub { subject, node } if in_range(node) => {
            crate::upkeep::scrub(*subject, *node, house).await;
        }
        Step::Replace(node) if in_range(node) => crate::upkeep::replace(*node, house, ledger).await,
        Step::Trouble(..)
        | Step::Lose { .. }
        | Step::Damage { .. }
        | Step::Drain(_)
        | Step::Scrub { .. }
        | Step::Replace(_) => {}
    }
}

/// Lets clients work at the same time, and judges what they were told.
async fn clients(acts: &[(u64, Act)], house: &House, ledger: &mut Ledger) {
    let acts: Vec<&(u64, Act)> = acts.iter().filter(|(_, act)| is_possible(act, house)).collect();
    let attacked = attacked(&acts, house);
    let held = &ledger.locks;
    let told = join_all(acts.iter().map(|(after, act)| async move {
        sleep(Duration::from_millis(*after)).await;
        perform(act, house, held).await
    }))
    .await;
    let before = ledger.promised();
    let scene = Scene { house, attacked, alone: acts.len() == 1, before };
    // First what was stored, then what was removed: who was told of a copy that somebody else removed then knows nothing.
    let mut told: Vec<(&Act, Told)> = acts.iter().map(|(_, act)| act).zip(told).collect();
    told.sort_by_key(|(_, told)| matches!(told, Told::Removed(_)));
    let mut over = BTreeSet::new();
    for (act, told) in told {
        scene.judge(act, told, ledger, &mut over);
    }
    let mut position = 0;
    ledger.locks.retain(|_| {
        position += 1;
        !over.contains(&(position - 1))
    });
}

fn is_possible(act: &Act, house: &House) -> bool {
    match act {
        Act::Put { whom, .. }
        | Act::Get { whom, .. }
        | Act::Present { whom, .. }
        | Act::Lock { whom, .. }
        | Act::Remove { whom, .. } => *whom == Whom::Cluster || house.nodes_of(*whom).end <= house.nodes.len(),
        Act::Renew(_) | Act::Unlock(_) => true,
    }
}

/// Returns the copies that somebody may remove.
fn attacked(acts: &[&(u64, Act)], house: &House) -> BTreeSet<Copied> {
    let removals = acts.iter().filter_map(|(_, act)| match act {
        Act::Remove { subject, whom, .. } => Some((*subject, *whom)),
        _ => None,
    });
    removals.flat_map(|(subject, whom)| house.nodes_of(whom).map(move |node| (subject, node))).collect()
}

async fn perform(act: &Act, house: &House, held: &[Held]) -> Told {
    let gateway = &house.gateway;
    let (began, position) = (Instant::now(), |number: &usize| number.checked_rem(held.len()));
    match act {
        Act::Put { subject, whom, manner } => {
            Told::Put(put(gateway, house.target(*whom), &house.subjects[*subject], *manner).await)
        }
        Act::Get { subject, whom, from } => {
            let subject = &house.subjects[*subject];
            let from = subject.bytes.len() * from / 8;
            Told::Got(get(gateway, house.target(*whom), &subject.key, from as u64).await)
        }
        Act::Present { subject, whom } => {
            Told::Present(gateway.present(house.target(*whom), &house.subjects[*subject].key).await)
        }
        Act::Lock { subject, whom, named } => {
            let locked = gateway.lock(house.target(*whom), &house.subjects[*subject].key).await;
            let gripped = match (locked, named) {
                (Ok(Some(locked)), true) => gateway.name_lock(locked).await.map(|name| Some(Grip::Name(name))),
                (locked, _) => locked.map(|locked| locked.map(Grip::Connection)),
            };
            Told::Locked(began, gripped)
        }
        Act::Renew(number) => match position(number).map(|at| (at, held[at].take())) {
            Some((at, Grip::Connection(locked))) => {
                let renewed = gateway.renew(&locked).await;
                Told::Renewed(at, began, Grip::Connection(locked), renewed)
            }
            Some((at, Grip::Name(name))) => match gateway.find_lock(&name).await.unwrap() {
                Some((locked, _)) => {
                    let renewed = gateway.renew(&locked).await;
                    Told::Renewed(at, began, Grip::Connection(locked), renewed)
                }
                None => not_found(&held[at]),
            },
            _ => Told::Nothing,
        },
        Act::Unlock(number) => match position(number).map(|at| (at, held[at].take())) {
            Some((at, Grip::Connection(locked))) => Told::Unlocked(at, gateway.unlock(locked).await),
            Some((at, Grip::Name(name))) => match gateway.find_lock(&name).await.unwrap() {
                Some((locked, _)) => Told::Unlocked(at, gateway.unlock(locked).await),
                None => not_found(&held[at]),
            },
            _ => Told::Nothing,
        },
        Act::Remove { subject, whom, within } => {
            let now = gateway.now().await.unwrap();
            let before = within.map(|seconds| now.saturating_add_signed(seconds));
            Told::Removed(gateway.remove(house.target(*whom), &house.subjects[*subject].key, before).await)
        }
    }
}

fn not_found(held: &Held) -> Told {
    assert!(!held.lasts(), "a lock that lasts is not found");
    Told::Nothing
}
