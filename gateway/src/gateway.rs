//! Decisions: what becomes of a request for a key, over all nodes of a repository.
//!
//! The only place where two nodes meet. Doors call it; it knows nothing of sessions.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use keep_store::base::task::blocking;
use tokio::time::sleep;

use crate::branch::Branch;
use crate::node::deadline::Deadlines;
use crate::node::measured::{Measured, Meter};
use crate::node::silence::Silence;
use crate::node::{Node, NodeError, Onward, Patience};
use crate::site::Site;
use crate::spool::LazySpool;

mod choose;
mod digest;
mod error;
mod feed;
mod get;
mod known;
mod locations;
mod lock;
mod notice;
mod placer;
mod plan;
mod policy;
mod put;
mod queue;
mod remove;
mod resume;
mod shown;
mod space;
mod start;
pub mod upkeep;

use choose::silent_last;

pub use error::{ErrorKind, GatewayError, HasKind, NodeFailure, QuotaExceeded, joined};
pub use get::Sending;
pub use lock::Locked;
pub use put::{Put, Receiving, Stored};
pub use remove::Removed;

use known::Known;
use locations::Locations;
use placer::Placer;
use queue::RepairQueue;

/// A hosted repository's nodes, and those that make up the cluster for this request. Cloning is cheap.
#[derive(Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
    /// The nodes that are the cluster.
    cluster: Arc<[Member]>,
}

/// A node that has not said for so long whether it has a key is late.
const LATE_AFTER: Duration = Duration::from_millis(500);

/// What all handles of a repository's gateway share.
struct Shared {
    site: Site,
    branch: Branch,
    identity: Identity,
    /// The cheapest to fetch from first.
    nodes: Arc<[Member]>,
    placer: Placer,
    locations: Locations,
    known: Known,
    queue: RepairQueue,
    /// Locks that wait for the connection which keeps them.
    waiting_locks: lock::Waiting,
    noticed: notice::Noticed,
    plenty: space::Plenty,
    /// For nodes that need a complete file.
    spool: LazySpool,
}

/// The UUIDs under which a repository is known.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The git repository itself, which holds no content.
    pub gateway: Uuid,
    /// All of its nodes together.
    pub cluster: Uuid,
}

/// A node of the repository.
#[derive(Clone)]
pub struct Member {
    /// Its name in the site.
    pub name: String,
    /// Its UUID in this repository.
    pub uuid: Uuid,
    /// Where it keeps content: counted, and waited for no longer than `patience` says.
    node: Arc<dyn Node>,
    /// What is counted about it.
    meter: Meter,
    /// It is to become empty: nothing new goes there, and what it has counts as missing elsewhere.
    pub draining: bool,
    /// How long it is waited for.
    pub patience: Patience,
    /// Its cost, its place and its limits.
    pub terms: Terms,
    /// Whether it was silent when it was asked last.
    silence: Arc<Silence>,
}

/// Settings of a node that decide when it is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// What it costs to fetch from it.
    pub cost: u32,
    /// Its content is on this machine's disks, so its room can be looked at.
    pub local: bool,
    /// Bytes that stay free there, besides what it keeps free by itself.
    pub reserve: u64,
    /// The most bytes that it should hold.
    pub max_size: Option<u64>,
}

/// What a session was opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The cluster: all nodes as one.
    Cluster,
    /// The gateway's own repository, which holds no content.
    Gateway,
    /// The node at this position.
    Node(usize),
}

impl Gateway {
    /// Puts a repository together.
    pub fn new(site: Site, branch: Branch, identity: Identity, nodes: Vec<Member>, spool: LazySpool) -> Self {
        let nodes: Arc<[Member]> = nodes.into();
        let shared = Shared {
            placer: Placer::new(site.clone(), branch.clone(), Arc::clone(&nodes)),
            locations: Locations::new(branch.clone()),
            known: Known::new(site.clone()),
            queue: RepairQueue::new(site.clone(), identity.gateway.clone()),
            waiting_locks: lock::Waiting::default(),
            noticed: notice::Noticed::default(),
            plenty: space::Plenty::default(),
            nodes: Arc::clone(&nodes),
            site,
            branch,
            identity,
            spool,
        };
        Self { shared: Arc::new(shared), cluster: nodes }
    }

    /// Returns the gateway as it serves a request that came through other gateways, given by their UUIDs and those of
    /// clusters.
    ///
    /// Of the cluster, nodes that lead back to one of them are left out, and the others pass the list on.
    pub fn past(&self, gateways: &BTreeSet<Uuid>) -> Self {
        let member = |member: &Member| match member.node.onward(gateways) {
            Onward::AsIs => Some(member.clone()),
            Onward::By(node) => Some(Member { node, ..member.clone() }),
            Onward::LeadsBack => None,
        };
        Self { shared: Arc::clone(&self.shared), cluster: self.shared.nodes.iter().filter_map(member).collect() }
    }

    /// Returns the target with this UUID.
    pub fn target(&self, uuid: &Uuid) -> Option<Target> {
        if *uuid == self.shared.identity.cluster {
            return Some(Target::Cluster);
        }
        if *uuid == self.shared.identity.gateway {
            return Some(Target::Gateway);
        }
        self.shared.nodes.iter().position(|member| member.uuid == *uuid).map(Target::Node)
    }

    /// Returns the repository's UUIDs.
    pub fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    /// Tells whether the target has a key: for a cluster, whether a node has it. If other nodes should have it too, it comes
    /// into the repair queue.
    ///
    /// No node having it while one could not be asked is an error that names the node: unknown is not absent. For a
    /// cluster, only a node that the location log names makes the answer unknown, so that clients can still store to
    /// the others.
    pub async fn present(&self, target: Target, key: &Key) -> Result<bool, GatewayError> {
        let mut unknown = Vec::new();
        if let Some(holder) = self.holder(self.members(target), key, &mut unknown).await {
            if target == Target::Cluster {
                self.shared.noticed.add(self, key, &holder.uuid);
            }
            return Ok(true);
        }
        if target == Target::Cluster && !unknown.is_empty() {
            let logged = self.shared.locations.of(key).await?;
            // A peer's cluster is in no location log, so it may have any key.
            unknown.retain(|(member, _)| member.uuid.is_cluster() || logged.contains(&member.uuid));
        }
        unknown.pop().map_or(Ok(false), |(member, source)| Err(member.failed(source)))
    }

    /// Asks nodes one after the other until one has the key. If a node is late, the next one is asked as well.
    async fn holder<'a>(
        &self,
        members: &'a [Member],
        key: &Key,
        unknown: &mut Vec<(&'a Member, NodeError)>,
    ) -> Option<&'a Member> {
        let ask = |member: &'a Member| async move { (member, self.shared.known.present(member, key).await) };
        let (mut members, mut asked) = (silent_last(members).into_iter(), FuturesUnordered::new());
        loop {
            if asked.is_empty() {
                asked.push(ask(members.next()?));
            }
            tokio::select! {
                biased;
                Some((member, answer)) = asked.next() => match answer {
                    Ok(true) => return Some(member),
                    Ok(false) => {}
                    Err(source) => unknown.push((member, source)),
                },
                () = sleep(LATE_AFTER), if members.len() > 0 => asked.extend(members.next().map(ask)),
                else => return None,
            }
        }
    }

    /// Returns the site's time, by which [`Gateway::remove`] measures its deadline.
    pub async fn now(&self) -> Result<u64, GatewayError> {
        let site = self.shared.site.clone();
        Ok(blocking(move || site.now()).await?)
    }

    /// Commits what the git-annex branch's journal holds.
    pub async fn commit(&self) -> Result<(), GatewayError> {
        let branch = self.shared.branch.clone();
        Ok(blocking(move || branch.commit()).await?)
    }

    /// Returns the node with this name.
    fn named(&self, name: &str) -> Result<&Member, GatewayError> {
        let found = self.shared.nodes.iter().find(|member| member.name == name);
        found.ok_or_else(|| GatewayError::NoSuchNode(name.to_owned()))
    }

    /// Returns the nodes behind a target.
    fn members(&self, target: Target) -> &[Member] {
        match target {
            Target::Cluster => &self.cluster,
            Target::Gateway => &[],
            Target::Node(position) => self.shared.nodes.get(position..=position).unwrap_or_default(),
        }
    }

    /// Removes a node from the location log if the node itself says that it does not have the content.
    async fn record_lost(&self, member: &Member, key: &Key) {
        let Shared { locations, known, queue, .. } = &*self.shared;
        let lost = async {
            if locations.of(key).await?.contains(&member.uuid) && !member.node.present(key).await.unwrap_or(true) {
                tracing::warn!("{key}: node {} has lost it", member.name);
                known.forget(member, key).await?;
                locations.record_missing(key, &member.uuid).await?;
                let cause = format!("node {} has lost it", member.name);
                queue.put(key, &AssociatedFile::default(), cause).await;
                // An upload may have stored the key in the meantime.
                if member.node.present(key).await.unwrap_or(false) {
                    locations.record_present(key, std::slice::from_ref(&member.uuid)).await?;
                }
            }
            Ok::<(), GatewayError>(())
        };
        if let Err(error) = lost.await {
            tracing::warn!("{key}: recording that node {} has lost it: {error}", member.name);
        }
    }

    /// Tells whether a node is to become empty.
    fn is_draining(&self, uuid: &Uuid) -> bool {
        self.shared.nodes.iter().any(|member| member.draining && member.uuid == *uuid)
    }

    /// Returns those of the repositories named by a node that the node may speak for.
    ///
    /// Only another gateway's cluster names nodes that are not ours. What it says of our own nodes is left out.
    fn behind(&self, member: &Member, named: Vec<Uuid>) -> Vec<Uuid> {
        let ours = |uuid: &Uuid| self.target(uuid).is_some();
        let mut named = if member.uuid.is_cluster() { named } else { Vec::new() };
        named.retain(|uuid| !ours(uuid) && !uuid.is_cluster());
        named
    }
}

impl Member {
    /// Makes a node of a repository that is filled, on the usual terms. What is asked of it is counted by `meter`.
    pub fn new(name: &str, uuid: Uuid, node: Arc<dyn Node>, meter: Meter, patience: Patience) -> Self {
        let silence = Arc::<Silence>::default();
        let measured = Arc::new(Measured::new(node, meter.clone()));
        let node = Arc::new(Deadlines::new(measured, patience, Arc::clone(&silence)));
        let (draining, terms) = (false, Terms::default());
        Self { name: name.to_owned(), uuid, node, meter, draining, patience, terms, silence }
    }

    /// Tells whether it gave no answer lately, so that others are better asked first.
    fn is_silent(&self) -> bool {
        self.silence.lasts(self.patience.answer)
    }

    fn failure(&self, source: NodeError) -> NodeFailure {
        NodeFailure { node: self.name.clone(), source }
    }

    fn failed(&self, source: NodeError) -> GatewayError {
        self.failure(source).into()
    }
}
