//! Merging what clients push into the git-annex branch.
//!
//! Lines are never lost: both sides' are kept (union merge). Two kinds of lines are left out: cluster UUIDs in location
//! logs, which old clients write as if a cluster were a copy, and changes of placement by those who may not make them.
//!
//! Source: `docs/spec/git-annex-branch.md` §7 to §9; `docs/decisions/branch.md`.

use std::collections::BTreeSet;

use annex_protocol::log::{LocationLog, LogKind, union, without_clusters};

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

/// What came of a merge.
#[derive(Debug, PartialEq, Eq)]
pub struct Merged {
    /// The branch's tip afterwards.
    pub tip: ObjectId,
    /// The files of which changes were left out.
    pub refused: Vec<String>,
}

/// Files that cannot be merged line by line: they say that history was rewritten, or how paths are made.
const NOT_MERGEABLE: [&[u8]; 2] = [b"transitions.log", b"difference.log"];

impl Branch {
    /// Merges the branch that a client pushed. Durable when this returns.
    ///
    /// Fast-forwards where nothing has to be added or left out. The merge takes git-annex's lock, so it works beside a
    /// running git-annex, and includes what is in the journal.
    pub fn merge(&self, theirs: ObjectId, policy: Policy) -> Result<Merged, BranchError> {
        let lock = self.journal.lock()?;
        for _ in 0..super::RACES {
            let ours = self.commit_locked(&lock, Vec::new(), "update")?;
            match self.merge_once(ours, theirs, policy) {
                Err(BranchError::Git(GitError::Moved { .. })) => {}
                done => return done,
            }
        }
        Err(GitError::Moved { dir: self.git.dir().into(), name: REF.to_owned() }.into())
    }

    fn merge_once(&self, ours: Option<ObjectId>, theirs: ObjectId, policy: Policy) -> Result<Merged, BranchError> {
        if let Some(ours) = ours
            && self.git.is_ancestor(theirs, ours)?
        {
            return Ok(Merged { tip: ours, refused: Vec::new() });
        }
        let mut edits = Vec::new();
        let mut refused = Vec::new();
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
            let allowed = match kind {
                LogKind::Location(_) => without_clusters(&pushed),
                _ => pushed.as_slice().into(),
            };
            as_pushed &= allowed.len() == pushed.len();
            as_pushed &= policy == Policy::Everything || supersedes(&kind, &pushed, &our_content);
            let merged = union(&our_content, &allowed);
            let content = merged.content(&our_content, &allowed);
            if content != our_content {
                edits.push((path, content.to_vec()));
            }
        }
        let descends = ours.map_or(Ok(true), |ours| self.git.is_ancestor(ours, theirs))?;
        if descends && as_pushed {
            self.git.move_ref(REF, ours, theirs)?;
            return Ok(Merged { tip: theirs, refused });
        }
        // If lines were refused, the pushed commit is no parent of the merge: when it is pushed again, it is looked at
        // again.
        let mut parents: Vec<ObjectId> = ours.into_iter().collect();
        if refused.is_empty() {
            parents.push(theirs);
        } else if let (true, Some(tip)) = (edits.is_empty(), ours) {
            return Ok(Merged { tip, refused });
        }
        let tree = self.git.edit_tree(ours, &edits)?;
        let tip = self.git.commit(tree, &parents, "merging pushed git-annex branch", self.clock.unix_seconds())?;
        self.git.move_ref(REF, ours, tip)?;
        Ok(Merged { tip, refused })
    }
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
