//! Decisions: what becomes of a request for a key, over all nodes of a repository.
//!
//! The only place where two nodes meet. Doors call it; it knows nothing of sessions.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annex_protocol::key::Key;
use annex_protocol::log::{Status, record_locations};
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use keep_store::base::task::blocking;
use tokio::time::sleep;

use crate::branch::placement::PlacementState;
use crate::branch::sizes::Sizes;
use crate::branch::{Branch, BranchError};
use crate::node::deadline::Deadlines;
use crate::node::measured::{Measured, Meter};
use crate::node::silence::Silence;
use crate::node::{Node, NodeError, Onward, Patience};
use crate::site::{Site, Unwanted};
use crate::spool::LazySpool;

mod choose;
mod digest;
mod drain;
mod due;
mod error;
mod explain;
mod facts;
mod feed;
mod get;
mod known;
mod lock;
mod notice;
mod policy;
mod probe;
mod proof;
mod put;
mod remove;
mod repair;
mod replace;
mod resume;
mod route;
mod scrub;
mod shown;
mod space;
mod start;
mod surplus;

use choose::silent_last;

pub use drain::Drained;
pub use due::Due;
pub use error::{ErrorKind, GatewayError, HasKind, NodeFailure, QuotaExceeded, joined};
pub use explain::{Explained, OnNode};
pub use get::Body;
pub use lock::Locked;
pub use probe::Tried;
pub use put::{Put, Receiving, Stored};
pub use remove::Removed;
pub use repair::{Repaired, Surveyed};
pub use replace::{Refilled, Stage};
pub use scrub::CopyState;

/// A hosted repository's nodes, and those that make up the cluster for this request. Cloning is cheap.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>, Arc<[Member]>);

/// A node that has not answered for this long whether it has a key is late.
const LATE: Duration = Duration::from_millis(500);

struct Inner {
    site: Site,
    branch: Branch,
    identity: Identity,
    /// The cheapest to fetch from first.
    nodes: Vec<Member>,
    unwanted: Unwanted,
    /// What was last read of the placement logs.
    placement: Mutex<Arc<PlacementState>>,
    /// Locks that wait for the connection which keeps them.
    named: lock::Named,
    /// How much each repository holds. Counted when a size limit first needs it.
    sizes: Mutex<Sizes>,
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
        let unwanted = site.config().unwanted;
        let (placement, sizes, named) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (noticed, plenty) = (notice::Noticed::default(), space::Plenty::default());
        let cluster = nodes.iter().cloned().collect();
        Self(
            Arc::new(Inner {
                site,
                branch,
                identity,
                nodes,
                unwanted,
                placement,
                named,
                sizes,
                noticed,
                plenty,
                spool,
            }),
            cluster,
        )
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
        Self(Arc::clone(&self.0), self.0.nodes.iter().filter_map(member).collect())
    }

    /// Returns the target with this UUID.
    pub fn target(&self, uuid: &Uuid) -> Option<Target> {
        if *uuid == self.0.identity.cluster {
            return Some(Target::Cluster);
        }
        if *uuid == self.0.identity.gateway {
            return Some(Target::Gateway);
        }
        self.0.nodes.iter().position(|member| member.uuid == *uuid).map(Target::Node)
    }

    /// Returns the repository's UUIDs.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
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
                self.notice_missing(key, &holder.uuid);
            }
            return Ok(true);
        }
        if target == Target::Cluster && !unknown.is_empty() {
            let logged = self.logged(key).await?;
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
        let ask = |member: &'a Member| async move { (member, self.seen(member, key).await) };
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
                () = sleep(LATE), if members.len() > 0 => asked.extend(members.next().map(ask)),
                else => return None,
            }
        }
    }

    /// Returns the site's time, by which [`Gateway::remove`] measures its deadline.
    pub async fn now(&self) -> Result<u64, GatewayError> {
        let site = self.0.site.clone();
        Ok(blocking(move || site.now()).await?)
    }

    /// Commits what the git-annex branch's journal holds.
    pub async fn commit(&self) -> Result<(), GatewayError> {
        let branch = self.0.branch.clone();
        Ok(blocking(move || branch.commit()).await?)
    }

    /// Returns the node with this name.
    fn named(&self, name: &str) -> Result<&Member, GatewayError> {
        let found = self.0.nodes.iter().find(|member| member.name == name);
        found.ok_or_else(|| GatewayError::NoSuchNode(name.to_owned()))
    }

    /// Returns how much repositories hold, as it was last counted.
    fn sizes(&self) -> MutexGuard<'_, Sizes> {
        self.0.sizes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the nodes behind a target.
    fn members(&self, target: Target) -> &[Member] {
        match target {
            Target::Cluster => &self.1,
            Target::Gateway => &[],
            Target::Node(position) => self.0.nodes.get(position..=position).unwrap_or_default(),
        }
    }

    /// Returns the repositories that have a key by its location log.
    async fn logged(&self, key: &Key) -> Result<BTreeSet<Uuid>, GatewayError> {
        let branch = self.0.branch.clone();
        let path = key.branch_path(".log");
        let content = blocking(move || branch.read(&path)).await?;
        Ok(facts::logged(&content))
    }

    /// Removes a node from the location log if the node itself says that it does not have the content.
    async fn record_lost(&self, member: &Member, key: &Key) {
        let lost = async {
            if self.logged(key).await?.contains(&member.uuid) && !member.node.present(key).await.unwrap_or(true) {
                tracing::warn!("{key}: node {} has lost it", member.name);
                self.forget(member, key).await?;
                self.record(key, vec![(member.uuid.clone(), Status::Missing)]).await?;
                let cause = format!("node {} has lost it", member.name);
                self.want_repair(key, &AssociatedFile::default(), cause).await;
                // An upload may have stored the key in the meantime.
                if member.node.present(key).await.unwrap_or(false) {
                    self.record(key, vec![(member.uuid.clone(), Status::Present)]).await?;
                }
            }
            Ok::<(), GatewayError>(())
        };
        if let Err(error) = lost.await {
            tracing::warn!("{key}: recording that node {} has lost it: {error}", member.name);
        }
    }

    /// Records in the location log where a key now is, and is no more. The cluster itself is never recorded, only its
    /// nodes.
    async fn record(&self, key: &Key, changes: Vec<(Uuid, Status)>) -> Result<(), GatewayError> {
        if changes.is_empty() {
            return Ok(());
        }
        let (gateway, path) = (self.clone(), key.branch_path(".log"));
        Ok(blocking(move || gateway.record_at(path, changes)).await?)
    }

    /// Records the same in the location log at `path`. Blocks.
    fn record_at(&self, path: Vec<u8>, mut changes: Vec<(Uuid, Status)>) -> Result<(), BranchError> {
        changes.retain(|(uuid, _)| !uuid.is_cluster());
        if changes.is_empty() {
            return Ok(());
        }
        let record = |content: &[u8]| {
            let changes = changes.iter().map(|(uuid, status)| (uuid, *status));
            record_locations(content, changes, self.0.branch.now())
        };
        self.0.branch.change(&[path], |_, content| record(content)).map(drop)
    }
}

impl Gateway {
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
