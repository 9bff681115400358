//! Merging what clients push into the git-annex branch.
//!
//! Lines are never lost: both sides' are kept (union merge). Three kinds of lines are left out: cluster UUIDs in location
//! logs, which old clients write as if a cluster were a copy; changes of placement by those who may not make them; and
//! what location logs say of our own nodes, since only this program knows what those have.
//!
//! Source: `docs/spec/git-annex-branch.md` §7 to §9; `docs/decisions/branch.md`.

use std::borrow::Cow;
use std::collections::BTreeSet;

use annex_protocol::key::Key;
use annex_protocol::log::{
    ClusterNodes, FieldLog, LocationLog, LogKind, PresenceLine, PresenceLog, union, without_lines,
};
use annex_protocol::uuid::Uuid;

use super::claims::Claim;
use super::{Branch, BranchError, REF};
use crate::git::{GitError, ObjectId};

/// What a pusher may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Everything.
    Everything,
    /// Everything except the logs that decide where content goes and what counts as a copy.
    NoPlacement,
}

/// On which terms a push is merged.
#[derive(Debug, Clone)]
pub struct Terms {
    /// What the pusher may change.
    pub policy: Policy,
    /// Our own nodes: what is pushed about their content is not taken.
    pub own_nodes: BTreeSet<Uuid>,
}

impl From<Policy> for Terms {
    fn from(policy: Policy) -> Self {
        Self { policy, own_nodes: BTreeSet::new() }
    }
}

/// What came of a merge.
#[derive(Debug, PartialEq, Eq)]
pub struct Merged {
    /// The branch's tip afterwards.
    pub tip: ObjectId,
    /// The files of which changes were left out.
    pub refused: Vec<String>,
    /// What was said of our own nodes and is not what is known of them.
    pub claims: Vec<Claim>,
}

/// Files that cannot be merged line by line: they say that history was rewritten, or how paths are made.
const NOT_MERGEABLE: [&[u8]; 2] = [b"transitions.log", b"difference.log"];

impl Branch {
    /// Merges the branch that a client pushed. Durable when this returns.
    ///
    /// Fast-forwards where nothing has to be added or left out. The merge takes git-annex's lock, so it works beside a
    /// running git-annex, and includes what is in the journal.
    pub fn merge(&self, theirs: ObjectId, terms: impl Into<Terms>) -> Result<Merged, BranchError> {
        let terms = terms.into();
        let lock = self.journal.lock()?;
        for _ in 0..super::RACES {
            let ours = self.commit_locked(&lock, Vec::new(), "update")?;
            match self.merge_once(ours, theirs, &terms) {
                Err(BranchError::Git(GitError::Moved { .. })) => {}
                done => return done,
            }
        }
        Err(GitError::Moved { dir: self.git.dir().into(), name: REF.to_owned() }.into())
    }

    fn merge_once(&self, ours: Option<ObjectId>, theirs: ObjectId, terms: &Terms) -> Result<Merged, BranchError> {
        if let Some(ours) = ours
            && self.git.is_ancestor(theirs, ours)?
        {
            return Ok(Merged { tip: ours, refused: Vec::new(), claims: Vec::new() });
        }
        let mut edits = Vec::new();
        let policy = terms.policy;
        let (mut refused, mut claims) = (Vec::new(), Vec::new());
        let mut as_pushed = true;
        for difference in self.git.differences(ours, theirs)? {
            let path = difference.path;
            let kind = LogKind::of(&path);
            let kept_back = policy == Policy::NoPlacement && decides_placement(&kind);
            as_pushed &= !kept_back;
            let Some(their_blob) = difference.theirs else {
                // git-annex itself removes no log, and its union merge knows no removal: neither does ours.
                as_pushed &= is_graft(&path);
                continue;
            };
            if NOT_MERGEABLE.contains(&path.as_slice()) && ours.is_some() {
                let name = String::from_utf8_lossy(&path);
                return Err(BranchError::Unsupported(format!(
                    "{name} of the pushed git-annex branch differs from the one here, which cannot be merged"
                )));
            }
            let our_content = difference.ours.map(|blob| self.git.read_blob(blob)).transpose()?.unwrap_or_default();
            let pushed = self.git.read_blob(their_blob)?;
            if kept_back {
                if adds_lines(&our_content, &pushed) {
                    refused.push(String::from_utf8_lossy(&path).into_owned());
                }
                continue;
            }
            let allowed = match &kind {
                LogKind::Location(key) => without_own(key, &pushed, &our_content, &terms.own_nodes, &mut claims),
                _ => pushed.as_slice().into(),
            };
            as_pushed &= allowed.len() == pushed.len();
            let may_drop_lines = policy == Policy::Everything && !matches!(kind, LogKind::Location(_));
            as_pushed &= may_drop_lines || supersedes(&kind, &pushed, &our_content);
            let merged = union(&our_content, &allowed);
            let content = merged.content(&our_content, &allowed);
            if content != our_content {
                edits.push((path, content.to_vec()));
            }
        }
        let descends = ours.map_or(Ok(true), |ours| self.git.is_ancestor(ours, theirs))?;
        if descends && as_pushed {
            self.git.move_ref(REF, ours, theirs)?;
            return Ok(Merged { tip: theirs, refused, claims });
        }
        // If lines were refused, the pushed commit is no parent of the merge: when it is pushed again, it is looked at
        // again.
        let mut parents: Vec<ObjectId> = ours.into_iter().collect();
        if refused.is_empty() {
            parents.push(theirs);
        } else if let (true, Some(tip)) = (edits.is_empty(), ours) {
            return Ok(Merged { tip, refused, claims });
        }
        let tree = self.git.edit_tree(ours, &edits)?;
        let tip = self.git.commit(tree, &parents, "merging pushed git-annex branch", self.clock.unix_seconds())?;
        self.git.move_ref(REF, ours, tip)?;
        Ok(Merged { tip, refused, claims })
    }

    /// Returns the nodes of a cluster, as the branch names them.
    pub fn nodes_of(&self, cluster: &Uuid) -> Result<BTreeSet<Uuid>, BranchError> {
        let log = self.read(b"cluster.log")?;
        let nodes = FieldLog::<ClusterNodes>::parse(&log).value(cluster).map(|nodes| nodes.0.clone());
        Ok(nodes.unwrap_or_default())
    }
}

/// Returns a pushed location log without the lines that name a cluster, and without new ones about our own nodes. Those
/// that say something else than ours become claims.
fn without_own<'a>(
    key: &Key,
    pushed: &'a [u8],
    ours: &[u8],
    own_nodes: &BTreeSet<Uuid>,
    claims: &mut Vec<Claim>,
) -> Cow<'a, [u8]> {
    let known = PresenceLog::parse(ours);
    // What a client that is behind still says counts for nothing, and hurts nobody.
    let is_new = |line: &PresenceLine<'_>| {
        known.newest(line.info).is_none_or(|known| known != line && known.clock <= line.clock)
    };
    let own = |info: &[u8]| Uuid::parse(info).filter(|uuid| uuid.is_cluster() || own_nodes.contains(uuid));
    for line in LocationLog::parse(pushed).lines() {
        let Some(node) = own(line.info).filter(|_| is_new(line)) else { continue };
        if known.newest(line.info).map(|known| known.status) != Some(line.status) {
            claims.push(Claim { node, key: key.clone(), clock: line.clock });
        }
    }
    without_lines(pushed, |line| own(line.info).is_some_and(|uuid| uuid.is_cluster() || is_new(line)))
}

fn decides_placement(kind: &LogKind) -> bool {
    matches!(
        kind,
        LogKind::Trust
            | LogKind::Group
            | LogKind::PreferredContent
            | LogKind::RequiredContent
            | LogKind::GroupPreferredContent
            | LogKind::Numcopies
            | LogKind::Mincopies
            | LogKind::MaxSize
            | LogKind::Proxy
            | LogKind::Cluster
            | LogKind::Remote
            | LogKind::Config
    )
}

/// Tells whether a path is in one of the trees that git-annex puts into the branch for one commit, to keep them alive.
fn is_graft(path: &[u8]) -> bool {
    path.starts_with(b"export.tree/") || path.starts_with(b"migrate.tree/")
}

/// Tells whether a newer version of a file leaves out no line that it does not replace.
///
/// When git-annex rewrites a file, it drops lines that a newer line supersedes. A push may drop those lines, and no
/// others.
fn supersedes(kind: &LogKind, newer: &[u8], older: &[u8]) -> bool {
    match kind {
        LogKind::Location(_) => {
            let newer = LocationLog::parse(newer);
            let newest = |info: &[u8]| newer.lines().iter().find(|line| line.info == info).map(|line| line.clock);
            LocationLog::parse(older).lines().iter().all(|line| newest(line.info) >= Some(line.clock))
        }
        _ => !adds_lines(newer, older),
    }
}

fn adds_lines(ours: &[u8], theirs: &[u8]) -> bool {
    let ours: BTreeSet<&[u8]> = ours.split(|b| *b == b'\n').collect();
    theirs.split(|b| *b == b'\n').any(|line| !line.is_empty() && !ours.contains(line))
}
