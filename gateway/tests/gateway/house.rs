//! A repository behind a gateway, whose nodes are in memory and get into trouble when they are told to.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use annex_gateway::branch::Branch;
use annex_gateway::gateway::{Gateway, Member, Target};
use annex_gateway::node::faulty::{Fault, Faulty, Operation, ReadFault};
use annex_gateway::node::measured::Meters;
use annex_gateway::node::memory::MemoryNode;
use annex_gateway::node::{NodeError, Patience};
use annex_gateway::site::Site;
use annex_gateway::spool::LazySpool;
use annex_protocol::log::LocationLog;
use annex_protocol::uuid::Uuid;
use bytes::Bytes;
use proptest::prelude::*;

use crate::client::Subject;
use crate::ground::{Ground, NAMES, identity, node_uuid};

/// The repository, and everything that a test asks of it.
pub(crate) struct House {
    pub(crate) subjects: Vec<Subject>,
    pub(crate) nodes: Vec<Place>,
    pub(crate) gateway: Gateway,
    pub(crate) branch: Branch,
    pub(crate) site: Site,
    pub(crate) numcopies: usize,
    /// The nodes that want nothing.
    pub(crate) unwilling: Vec<bool>,
    ground: Ground,
}

/// A node: what it has, and the trouble that it is in.
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) memory: MemoryNode,
    pub(crate) faulty: Faulty,
    trouble: Option<Trouble>,
    draining: bool,
    local: bool,
}

/// What is wrong with a node, as long as it lasts. Positions are bytes of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It cannot be reached.
    Away,
    /// It says no to everything.
    Fails,
    /// It answers nothing.
    Hangs,
    /// It takes so many milliseconds for everything.
    Slow(u64),
    /// It takes no content.
    Full,
    /// It stores and removes, and nobody hears of it.
    AnswersAreLost,
    /// It stores and removes, and says that it has failed.
    SaysItFailed,
    /// Locks cannot be renewed, or given back.
    LocksFail,
    LocksHang,
    ReadsEnd(u64),
    ReadsFail(u64),
    ReadsHang(u64),
    UploadsFail(u64),
    UploadsHang(u64),
    /// It gives other bytes than it has.
    ReadsWrong(u64),
    /// It says that it has everything, or nothing.
    SaysPresent,
    SaysAbsent,
}

/// Whom a client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whom {
    Cluster,
    Node(usize),
}

impl Trouble {
    /// Returns any trouble.
    pub(crate) fn any() -> impl Strategy<Value = Self> {
        let at = || prop_oneof![Just(0u64), Just(1), Just(999), Just(65_536), Just(69_999), Just(150_000)];
        prop_oneof![
            2 => Just(Self::Away),
            2 => Just(Self::Fails),
            2 => Just(Self::Hangs),
            2 => prop_oneof![Just(50u64), Just(700), Just(2000), Just(70_000)].prop_map(Self::Slow),
            1 => Just(Self::Full),
            2 => Just(Self::AnswersAreLost),
            2 => Just(Self::SaysItFailed),
            1 => Just(Self::LocksFail),
            1 => Just(Self::LocksHang),
            1 => at().prop_map(Self::ReadsEnd),
            1 => at().prop_map(Self::ReadsFail),
            1 => at().prop_map(Self::ReadsHang),
            1 => at().prop_map(Self::UploadsFail),
            1 => at().prop_map(Self::UploadsHang),
            1 => at().prop_map(Self::ReadsWrong),
            1 => Just(Self::SaysPresent),
            1 => Just(Self::SaysAbsent),
        ]
    }

    /// Tells whether what a node says is not so.
    fn is_lie(self) -> bool {
        matches!(self, Self::ReadsWrong(_) | Self::SaysPresent | Self::SaysAbsent)
    }

    fn befall(self, node: &Faulty) {
        let away = || NodeError::Unreachable("away".to_owned());
        let failed = || NodeError::Failed("out of order".to_owned());
        let all = |operations: &[Operation], fault: &Fault| {
            operations.iter().for_each(|operation| node.always(*operation, fault.clone()));
        };
        match self {
            Self::Away => node.always_all(&Fault::Fails(away())),
            Self::Fails => node.always_all(&Fault::Fails(failed())),
            Self::Hangs => node.always_all(&Fault::Hangs),
            Self::Slow(millis) => node.always_all(&Fault::Late(Duration::from_millis(millis))),
            Self::Full => all(&[Operation::Put], &Fault::Fails(NodeError::Full("no room".to_owned()))),
            Self::AnswersAreLost => all(&[Operation::Commit, Operation::Remove], &Fault::HangsWhenDone),
            Self::SaysItFailed => all(&[Operation::Commit, Operation::Remove], &Fault::FailsWhenDone(failed())),
            Self::LocksFail => all(&[Operation::Renew, Operation::Release], &Fault::Fails(away())),
            Self::LocksHang => all(&[Operation::Renew, Operation::Release], &Fault::Hangs),
            Self::ReadsEnd(at) => node.spoil_reads(ReadFault::EndsAt(at)),
            Self::ReadsFail(at) => node.spoil_reads(ReadFault::FailsAt(at, failed())),
            Self::ReadsHang(at) => node.spoil_reads(ReadFault::HangsAt(at)),
            Self::ReadsWrong(at) => node.spoil_reads(ReadFault::WrongAt(at)),
            Self::UploadsFail(at) => node.spoil_uploads(at, Fault::Fails(failed())),
            Self::UploadsHang(at) => node.spoil_uploads(at, Fault::Hangs),
            Self::SaysPresent => node.lie(Some(true)),
            Self::SaysAbsent => node.lie(Some(false)),
        }
    }
}

impl Place {
    fn empty(position: usize) -> Self {
        let memory = MemoryNode::default();
        let faulty = Faulty::new(Arc::new(memory.clone()));
        Self { name: NAMES[position].to_owned(), memory, faulty, trouble: None, draining: false, local: false }
    }
}

impl House {
    /// Makes a repository with so many empty nodes, which want everything but those that are `unwilling`.
    pub(crate) fn new(nodes: usize, numcopies: usize, unwilling: &[bool]) -> Self {
        Self::built(nodes, numcopies, unwilling, |text| text)
    }

    /// Makes a repository with so many empty nodes in a site whose configuration is changed.
    pub(crate) fn configured(nodes: usize, configure: impl FnOnce(String) -> String) -> Self {
        Self::built(nodes, 1, &[], configure)
    }

    fn built(nodes: usize, numcopies: usize, unwilling: &[bool], configure: impl FnOnce(String) -> String) -> Self {
        let unwilling: Vec<bool> = (0..nodes).map(|node| unwilling.get(node).copied().unwrap_or(false)).collect();
        let nothing = |(node, _): (usize, &bool)| format!("{} nothing timestamp=1s\n", node_uuid(node));
        let wanted: String = unwilling.iter().enumerate().filter(|(_, unwilling)| **unwilling).map(nothing).collect();
        let logs = [("numcopies.log", format!("1s {numcopies}\n")), ("preferred-content.log", wanted)];
        let ground = Ground::new(configure, &logs);
        let nodes: Vec<Place> = (0..nodes).map(Place::empty).collect();
        let subjects =
            vec![Subject::new(0), Subject::new(1000), Subject::new(70_000), Subject::new(200_000).without_size()];
        let (site, branch) = (ground.site(), ground.branch());
        let gateway = gateway(&site, &branch, &nodes);
        Self { subjects, nodes, gateway, branch, site, numcopies, unwilling, ground }
    }

    /// Ends the program and starts it again.
    pub(crate) fn restart(&mut self) {
        (self.site, self.branch) = (self.ground.site(), self.ground.branch());
        self.gateway = gateway(&self.site, &self.branch, &self.nodes);
    }

    /// Starts another process of the same site, with the same nodes.
    pub(crate) fn process(&self) -> Gateway {
        gateway(&self.ground.site(), &self.ground.branch(), &self.nodes)
    }

    /// Has a node's room looked at, as that of disks of this machine is; the program reads that when it starts.
    pub(crate) fn set_local(&mut self, node: usize) {
        self.nodes[node].local = true;
        self.restart();
    }

    /// Gives a node an empty place, which is well; the gateway so far has it in its old place.
    pub(crate) fn replace(&mut self, node: usize) {
        let verifies = self.nodes[node].memory.verifies();
        self.nodes[node] = Place::empty(node);
        self.nodes[node].memory.set_verifies(verifies);
        self.restart();
    }

    /// Marks a node as one that is to become empty, or not any more; the program reads that when it starts.
    pub(crate) fn set_draining(&mut self, node: usize, draining: bool) {
        self.nodes[node].draining = draining;
        self.restart();
    }

    /// Brings a node into trouble in place of any that it was in, or out of it.
    pub(crate) fn trouble(&mut self, node: usize, trouble: Option<Trouble>) {
        let place = &mut self.nodes[node];
        // Who checks what it gives finds out that it is wrong.
        let trouble = trouble.map(|trouble| match trouble {
            Trouble::ReadsWrong(at) if place.memory.verifies() => Trouble::ReadsFail(at),
            other => other,
        });
        place.trouble = trouble;
        place.faulty.heal();
        if let Some(trouble) = trouble {
            trouble.befall(&place.faulty);
        }
    }

    /// Tells whether a node does all it is asked, and in time.
    pub(crate) fn is_well(&self, node: usize) -> bool {
        matches!(self.nodes[node].trouble, None | Some(Trouble::Slow(0..=2000)))
    }

    pub(crate) fn all_well(&self) -> bool {
        (0..self.nodes.len()).all(|node| self.is_well(node))
    }

    /// Tells whether what a node says is not so.
    pub(crate) fn lies(&self, node: usize) -> bool {
        self.nodes[node].trouble.is_some_and(Trouble::is_lie)
    }

    /// Returns what a node has for a content.
    pub(crate) fn copy(&self, subject: usize, node: usize) -> Option<Bytes> {
        self.nodes[node].memory.content(&self.subjects[subject].key)
    }

    /// Tells whether a node has a content as it should be.
    pub(crate) fn has(&self, subject: usize, node: usize) -> bool {
        self.copy(subject, node).is_some_and(|copy| copy == self.subjects[subject].bytes)
    }

    /// Returns the nodes that have a content by its location log.
    pub(crate) fn logged(&self, subject: usize) -> BTreeSet<usize> {
        let log = self.branch.read(&self.subjects[subject].key.branch_path(".log")).unwrap();
        LocationLog::parse(&log).present().filter_map(|uuid| self.node_of(&uuid)).collect()
    }

    /// Takes a content away from a node behind the gateway's back.
    pub(crate) fn lose(&self, subject: usize, node: usize) {
        self.nodes[node].memory.change(&self.subjects[subject].key, None);
    }

    /// Changes a content on a node behind the gateway's back, or cuts it `short`; one that checks what it gives finds that
    /// out by itself, and has nothing then. False if nothing is there then.
    pub(crate) fn damage(&self, subject: usize, node: usize, short: bool) -> bool {
        let (Subject { key, bytes }, memory) = (&self.subjects[subject], &self.nodes[node].memory);
        let wrong = match short {
            true => bytes.slice(..bytes.len() / 8 * 7),
            false => self.subjects[subject].wrong(),
        };
        let damaged = (self.copy(subject, node).is_some() && !memory.verifies()).then_some(wrong);
        let there = damaged.is_some();
        memory.change(key, damaged);
        there
    }

    /// Puts a content in its place on a node, as it should be, behind the gateway's back.
    pub(crate) fn mend(&self, subject: usize, node: usize) {
        let Subject { key, bytes } = &self.subjects[subject];
        self.nodes[node].memory.change(key, Some(bytes.clone()));
    }

    pub(crate) fn target(&self, whom: Whom) -> Target {
        match whom {
            Whom::Cluster => Target::Cluster,
            Whom::Node(node) => Target::Node(node),
        }
    }

    /// Returns the positions of the nodes that are asked.
    pub(crate) fn nodes_of(&self, whom: Whom) -> Range<usize> {
        match whom {
            Whom::Cluster => 0..self.nodes.len(),
            Whom::Node(node) => node..node + 1,
        }
    }

    /// Returns the position of a node.
    pub(crate) fn node_of(&self, uuid: &Uuid) -> Option<usize> {
        (0..self.nodes.len()).find(|node| node_uuid(*node) == *uuid)
    }
}

fn gateway(site: &Site, branch: &Branch, nodes: &[Place]) -> Gateway {
    let meters = Meters::default();
    let members = nodes.iter().enumerate().map(|(position, place)| {
        let node = Arc::new(place.faulty.clone());
        let meter = meters.at(site.clock()).of(&place.name);
        let mut member = Member::new(&place.name, node_uuid(position), node, meter, Patience::default());
        member.draining = place.draining;
        member.terms.local = place.local;
        member
    });
    let spool = LazySpool::new(&site.root().join("run/spool"), 0, site.clock());
    Gateway::new(site.clone(), branch.clone(), identity(), members.collect(), spool)
}
