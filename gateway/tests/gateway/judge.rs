//! Judges what clients were told while several of them were at work.

use std::collections::BTreeSet;

use annex_gateway::gateway::{ErrorKind, GatewayError, Removed};
use annex_protocol::uuid::Uuid;

use crate::client::{Got, Manner, Sent};
use crate::house::{House, Whom};
use crate::ledger::{Copied, Held, Ledger};
use crate::op::Act;
use crate::run::Told;

/// What was so while clients were at work.
pub(crate) struct Scene<'a> {
    pub(crate) house: &'a House,
    /// Copies that somebody tried to remove.
    pub(crate) attacked: BTreeSet<Copied>,
    /// There was one client.
    pub(crate) alone: bool,
    /// Copies that somebody had been told of before.
    pub(crate) before: BTreeSet<Copied>,
}

impl Scene<'_> {
    /// Judges what one client was told. Positions of locks that are over go to `over`.
    pub(crate) fn judge(&self, act: &Act, told: Told, ledger: &mut Ledger, over: &mut BTreeSet<usize>) {
        match (act, told) {
            (Act::Put { subject, whom, manner }, Told::Put(told)) => {
                self.judge_put(*subject, *whom, *manner, told, ledger);
            }
            (Act::Get { subject, whom, from }, Told::Got(told)) => self.judge_get(*subject, *whom, *from, told, ledger),
            (Act::Present { subject, whom }, Told::Present(told)) => match told {
                Ok(true) => assert!(
                    !self.alone
                        || self.liars(*whom)
                        || self.nodes(*whom).any(|node| self.house.copy(*subject, node).is_some()),
                    "content {subject} is said to be on {whom:?}"
                ),
                Ok(false) => self.expect_absence(*subject, *whom),
                Err(error) => self.expect_trouble(*whom, &error),
            },
            (Act::Lock { subject, whom, .. }, Told::Locked(began, told)) => match told {
                Ok(Some(grip)) => {
                    let mut held = Held::new(*subject, *whom, grip, began);
                    held.sound = !self.liars(*whom) && !ledger.is_damaged(*subject);
                    ledger.locks.push(held);
                    ledger.touch(*subject);
                }
                Ok(None) => self.expect_absence(*subject, *whom),
                Err(error) => self.expect_trouble(*whom, &error),
            },
            (_, Told::Renewed(at, began, grip, told)) => {
                let subject = ledger.locks[at].subject;
                ledger.locks[at].renewed(began, told.is_ok(), grip);
                ledger.touch(subject);
            }
            (_, Told::Unlocked(at, told)) => {
                over.insert(at);
                if let Err(error) = told {
                    self.expect_trouble(Whom::Cluster, &error);
                }
            }
            (Act::Remove { subject, whom, within }, Told::Removed(told)) => {
                self.judge_removal(*subject, *whom, *within, &told.unwrap(), ledger);
            }
            _ => {}
        }
    }

    fn judge_put(
        &self,
        subject: usize,
        whom: Whom,
        manner: Manner,
        told: Result<Sent, GatewayError>,
        ledger: &mut Ledger,
    ) {
        if let Manner::WrongAndBreaksOff(_) = manner {
            self.nodes(whom).for_each(|node| ledger.spoil((subject, node)));
        }
        let spoiled = ledger.is_spoiled(subject);
        match told {
            Ok(Sent::Already(nodes)) => self.stored(subject, whom, &nodes, ledger),
            Ok(Sent::Stored(stored)) => self.stored(subject, whom, &stored.nodes, ledger),
            Ok(Sent::NotStored) => assert!(manner != Manner::Whole || spoiled, "all was sent, and nothing said of it"),
            Err(error) => {
                let right = manner == Manner::Whole && !spoiled && self.alone;
                assert!(!right || !self.all_well(whom), "right content was refused: {error}");
                plausible(&error);
            }
        }
    }

    fn stored(&self, subject: usize, whom: Whom, nodes: &[Uuid], ledger: &mut Ledger) {
        assert!(!nodes.is_empty(), "content {subject} is said to be stored, and nowhere");
        for uuid in nodes {
            let node = self.house.node_of(uuid).expect("a node of the repository");
            assert!(self.nodes(whom).any(|asked| asked == node), "node {node} was not asked");
            if !self.house.lies(node) && !self.attacked.contains(&(subject, node)) && !ledger.is_damaged(subject) {
                ledger.promise((subject, node));
            }
        }
    }

    fn judge_get(
        &self,
        subject: usize,
        whom: Whom,
        from: usize,
        told: Result<Option<Got>, GatewayError>,
        ledger: &Ledger,
    ) {
        let bytes = &self.house.subjects[subject].bytes;
        let offset = bytes.len() * from / 8;
        // Who wants only the end of a content can tell by itself whether it fits to the beginning.
        let provable = offset == 0 || !(self.liars(whom) || ledger.is_damaged(subject));
        let well = self.all_well(whom) && !ledger.is_damaged(subject) && !self.may_vanish(subject, whom);
        match told {
            Ok(Some(Got { bytes: got, ended: Ok(()) })) => {
                let sized = self.house.subjects[subject].key.content_size().is_some();
                assert!(
                    !sized || got.len() == bytes.len() - offset,
                    "content {subject} came short, and was vouched for"
                );
                assert!(
                    !provable || got == bytes[offset..],
                    "content {subject} came wrong from {offset}, and was vouched for"
                );
            }
            Ok(Some(Got { ended: Err(error), .. })) => {
                assert!(!well, "content {subject} broke off: {error}");
                plausible(&error);
            }
            Ok(None) => self.expect_absence(subject, whom),
            Err(error) => self.expect_trouble(whom, &error),
        }
    }

    fn judge_removal(&self, subject: usize, whom: Whom, within: Option<i64>, removed: &Removed, ledger: &mut Ledger) {
        let gone: BTreeSet<usize> = removed.gone.iter().map(|uuid| self.house.node_of(uuid).unwrap()).collect();
        let (asked, told) = (self.nodes(whom).count(), gone.len() + removed.failures.len());
        assert_eq!(asked, told, "each node has lost it or says why not: {:?}", removed.failures);
        let logged = self.house.logged(subject);
        assert!(!self.alone || gone.is_disjoint(&logged), "gone from {gone:?}, and the log says {logged:?}");
        for node in self.nodes(whom) {
            let copy = (subject, node);
            let kept =
                ledger.locks.iter().any(|lock| lock.sound && lock.whom == Whom::Node(node) && lock.may_keep(copy));
            if gone.contains(&node) {
                ledger.release(copy);
                let left = self.house.copy(subject, node).is_some();
                assert!(
                    !self.alone || !left || self.house.lies(node),
                    "content {subject} is not gone from node {node}"
                );
                assert!(!kept || !self.alone, "content {subject} is gone from node {node}, where it is locked");
                let refused = within.is_some_and(|seconds| seconds <= 0);
                assert!(!(refused && self.before.contains(&copy) && self.alone), "it was removed too late");
            } else if removed.kind() != ErrorKind::Conflict {
                // Of a node that failed nobody knows.
                ledger.release(copy);
            }
        }
        if self.alone
            && !ledger.may_be_held(subject)
            && within.is_none_or(|seconds| seconds > 10)
            && self.all_well(whom)
        {
            assert_eq!(gone.len(), asked, "it was not removed: {:?}", removed.failures);
        }
    }

    fn nodes(&self, whom: Whom) -> impl Iterator<Item = usize> {
        self.house.nodes_of(whom)
    }

    fn all_well(&self, whom: Whom) -> bool {
        self.nodes(whom).all(|node| self.house.is_well(node))
    }

    fn liars(&self, whom: Whom) -> bool {
        self.nodes(whom).any(|node| self.house.lies(node))
    }

    fn may_vanish(&self, subject: usize, whom: Whom) -> bool {
        self.nodes(whom).any(|node| self.attacked.contains(&(subject, node)))
    }

    /// Nobody says that a content is not there which somebody was told of.
    fn expect_absence(&self, subject: usize, whom: Whom) {
        for copy in self.nodes(whom).map(|node| (subject, node)) {
            let there = self.before.contains(&copy) && !self.attacked.contains(&copy);
            assert!(!there, "content {subject} is said not to be on {whom:?}, and is on node {}", copy.1);
        }
    }

    /// Nothing fails where all nodes are well.
    fn expect_trouble(&self, whom: Whom, error: &GatewayError) {
        assert!(!self.all_well(whom), "no node is in trouble: {error}");
        plausible(error);
    }
}

/// Whatever nodes do, the site and the git-annex branch are well.
pub(crate) fn plausible(error: &GatewayError) {
    assert!(!matches!(error, GatewayError::Site(_) | GatewayError::Branch(_)), "{error}");
}
