//! What may happen to a repository: sequences of it, made up by proptest.

use std::time::Duration;

use proptest::prelude::*;

use crate::client::Manner;
use crate::house::{Trouble, Whom};

/// How many contents and nodes there are at most.
pub(crate) const SUBJECTS: usize = 4;
pub(crate) const NODES: usize = 4;

/// What one client does. Contents and nodes are named by their numbers.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Put {
        subject: usize,
        whom: Whom,
        manner: Manner,
    },
    /// From so many eighths of the content on.
    Get {
        subject: usize,
        whom: Whom,
        from: usize,
    },
    Present {
        subject: usize,
        whom: Whom,
    },
    Lock {
        subject: usize,
        whom: Whom,
        named: bool,
    },
    /// Renews one of the locks that are held, or gives it back.
    Renew(usize),
    Unlock(usize),
    /// With a deadline so many seconds from now, or without one.
    Remove {
        subject: usize,
        whom: Whom,
        within: Option<i64>,
    },
}

/// One step of a story.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Clients at work at the same time, each beginning so many milliseconds after the step does.
    Clients(Vec<(u64, Act)>),
    /// A node is in trouble from now on, or well again.
    Trouble(usize, Option<Trouble>),
    /// A node loses a content, or has it damaged, behind the gateway's back.
    Lose {
        subject: usize,
        node: usize,
    },
    Damage {
        subject: usize,
        node: usize,
        short: bool,
    },
    Wait(Duration),
    Repair(usize),
    Survey,
    DropSurplus(usize),
    Drain(usize),
    Scrub {
        subject: usize,
        node: usize,
    },
    /// A node gets a new, empty place, which is filled from its old one.
    Replace(usize),
    /// The program ends and is started again.
    Restart,
}

fn subject() -> impl Strategy<Value = usize> {
    0..SUBJECTS
}

fn node() -> impl Strategy<Value = usize> {
    0..NODES
}

fn whom() -> impl Strategy<Value = Whom> {
    prop_oneof![3 => Just(Whom::Cluster), 2 => node().prop_map(Whom::Node)]
}

fn manner() -> impl Strategy<Value = Manner> {
    let part = || 0..8usize;
    prop_oneof![
        8 => Just(Manner::Whole),
        1 => Just(Manner::Unsure),
        1 => Just(Manner::Wrong),
        1 => Just(Manner::TooMuch),
        2 => part().prop_map(Manner::BreaksOff),
        1 => part().prop_map(Manner::Vanishes),
        1 => part().prop_map(Manner::Short),
        1 => part().prop_map(Manner::WrongAndBreaksOff),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let within = prop_oneof![
        2 => Just(None),
        3 => prop_oneof![Just(600i64), Just(2), Just(1), Just(0), Just(-5)].prop_map(Some),
    ];
    let from = prop_oneof![Just(0usize), 0..=8usize];
    prop_oneof![
        6 => (subject(), whom(), manner()).prop_map(|(subject, whom, manner)| Act::Put { subject, whom, manner }),
        4 => (subject(), whom(), from).prop_map(|(subject, whom, from)| Act::Get { subject, whom, from }),
        2 => (subject(), whom()).prop_map(|(subject, whom)| Act::Present { subject, whom }),
        3 => (subject(), whom(), any::<bool>()).prop_map(|(subject, whom, named)| Act::Lock { subject, whom, named }),
        1 => any::<usize>().prop_map(Act::Renew),
        1 => any::<usize>().prop_map(Act::Unlock),
        4 => (subject(), whom(), within).prop_map(|(subject, whom, within)| Act::Remove { subject, whom, within }),
    ]
}

fn clients() -> impl Strategy<Value = Step> {
    let at_once = prop::collection::vec((prop_oneof![Just(0u64), 0..40u64, 0..20_000u64], act()), 2..5);
    prop_oneof![2 => act().prop_map(|act| vec![(0, act)]), 1 => at_once].prop_map(Step::Clients)
}

fn wait() -> impl Strategy<Value = Step> {
    let seconds = |seconds: f64| Just(Duration::from_secs_f64(seconds));
    let long = prop_oneof![seconds(0.7), seconds(30.0), seconds(299.0), seconds(601.0), seconds(1200.0)];
    prop_oneof![(1..1500u64).prop_map(Duration::from_millis), long].prop_map(Step::Wait)
}

fn step() -> impl Strategy<Value = Step> {
    let copy = || (subject(), node());
    prop_oneof![
        20 => clients(),
        4 => (node(), Trouble::any()).prop_map(|(node, trouble)| Step::Trouble(node, Some(trouble))),
        3 => node().prop_map(|node| Step::Trouble(node, None)),
        1 => copy().prop_map(|(subject, node)| Step::Lose { subject, node }),
        1 => (copy(), any::<bool>()).prop_map(|((subject, node), short)| Step::Damage { subject, node, short }),
        3 => wait(),
        2 => subject().prop_map(Step::Repair),
        1 => Just(Step::Survey),
        1 => subject().prop_map(Step::DropSurplus),
        1 => node().prop_map(Step::Drain),
        1 => copy().prop_map(|(subject, node)| Step::Scrub { subject, node }),
        1 => node().prop_map(Step::Replace),
        1 => Just(Step::Restart),
    ]
}

/// A repository and what happens to it.
#[derive(Debug, Clone)]
pub(crate) struct Story {
    /// How many nodes it has.
    pub(crate) nodes: usize,
    pub(crate) numcopies: usize,
    /// The nodes that want nothing.
    pub(crate) unwilling: Vec<bool>,
    /// The nodes that check what they give.
    pub(crate) verifying: Vec<bool>,
    /// The nodes that leave it to the gateway to keep what is locked.
    pub(crate) lockless: Vec<bool>,
    pub(crate) steps: Vec<Step>,
}

impl Story {
    /// Returns any story of at most so many steps.
    pub(crate) fn any(steps: usize) -> impl Strategy<Value = Self> {
        let some = |weight| prop::collection::vec(prop::bool::weighted(weight), NODES);
        let steps = prop::collection::vec(step(), 1..=steps);
        let kinds = (some(0.15), some(0.3), some(0.5));
        (2..=NODES, 1..=2usize, kinds, steps).prop_map(|(nodes, numcopies, (unwilling, verifying, lockless), steps)| {
            Self { nodes, numcopies, unwilling, verifying, lockless, steps }
        })
    }
}
