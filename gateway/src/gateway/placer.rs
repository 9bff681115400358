//! Where keys should be: which nodes want them, which copies are missing and which are too many.
//!
//! Everything here goes by the git-annex branch and asks no node. All of it blocks.
//!
//! Source: `docs/spec/p2p-protocol.md` §11.2, `docs/spec/preferred-content.md` §4 and §9; `docs/decisions/placement.md`.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annex_protocol::key::Key;
use annex_protocol::log::{SingleLog, Trust};
use annex_protocol::prefer::{Placement, Question, pick};
use annex_protocol::uuid::Uuid;
use sha2::{Digest, Sha256};

use super::Member;
use super::locations::logged;
use crate::branch::placement::PlacementState;
use crate::branch::sizes::Sizes;
use crate::branch::{Branch, BranchError};
use crate::site::{Site, Unwanted};

mod facts;

use facts::Facts;

/// Decides where keys should be.
pub(super) struct Placer {
    site: Site,
    branch: Branch,
    nodes: Arc<[Member]>,
    unwanted: Unwanted,
    /// What was last read of the placement logs.
    state: Mutex<Arc<PlacementState>>,
    /// How much each repository holds. Counted when a size limit first needs it.
    sizes: Mutex<Sizes>,
}

impl Placer {
    pub(super) fn new(site: Site, branch: Branch, nodes: Arc<[Member]>) -> Self {
        let unwanted = site.config().unwanted;
        Self { site, branch, nodes, unwanted, state: Mutex::default(), sizes: Mutex::default() }
    }

    /// Chooses among `absent`, the nodes that lack a key, while `present` have it.
    ///
    /// Those that want it; if none does and not enough have it, what the site says about unwanted keys.
    pub(super) fn choose(
        &self,
        key: &Key,
        file: Option<&[u8]>,
        absent: &[Uuid],
        present: &[Uuid],
    ) -> Result<Vec<Uuid>, BranchError> {
        let (wanting, numcopies) = self.wanting(key, file, absent, present)?;
        if !wanting.is_empty() {
            return Ok(wanting);
        }
        match self.unwanted {
            Unwanted::All if present.is_empty() => Ok(absent.to_vec()),
            Unwanted::Numcopies => {
                let missing = usize::try_from(numcopies).unwrap_or(usize::MAX).saturating_sub(present.len());
                let all: BTreeSet<Uuid> = self.nodes.iter().map(|member| member.uuid.clone()).collect();
                let candidates: BTreeSet<&Uuid> = absent.iter().collect();
                let candidates: Vec<&Uuid> = candidates.into_iter().collect();
                let chosen = pick(&all, &candidates, key.as_bytes(), i64::try_from(missing).unwrap_or(i64::MAX));
                Ok(chosen.into_iter().cloned().collect())
            }
            Unwanted::All | Unwanted::Refuse => Ok(Vec::new()),
        }
    }

    /// Returns those of the nodes `absent` that want a key, and numcopies.
    pub(super) fn wanting(
        &self,
        key: &Key,
        file: Option<&[u8]>,
        absent: &[Uuid],
        present: &[Uuid],
    ) -> Result<(Vec<Uuid>, u64), BranchError> {
        // The nodes' own answers are newer than the log, so the log is evaluated as if it said the same.
        let mut locations = logged(&self.branch.read(&key.branch_path(".log"))?);
        locations.retain(|uuid| !absent.contains(uuid));
        locations.extend(present.iter().cloned());
        self.judge(key, locations, |placement, facts| {
            let wants =
                |repository: &&Uuid| placement.wants(&Question { repository, key, file, facts }).unwrap_or(true);
            (absent.iter().filter(wants).cloned().collect(), placement.numcopies.get())
        })
    }

    /// Returns how many bytes uploads of other keys will bring to each node.
    fn coming(&self, key: &Key) -> HashMap<Uuid, u64> {
        self.site.uploads_under_way(key).unwrap_or_else(|error| {
            tracing::warn!("{key}: nodes were chosen without counting uploads under way: {error}");
            HashMap::new()
        })
    }

    /// Returns how many copies must be left when one is removed.
    pub(super) fn copies_needed(&self) -> Result<usize, BranchError> {
        let numcopies = self.state()?.placement.numcopies.get();
        let log = self.branch.read(b"mincopies.log")?;
        let mincopies = SingleLog::parse(&log).value().unwrap_or_default().get();
        Ok(usize::try_from(numcopies.max(mincopies)).unwrap_or(usize::MAX).max(1))
    }

    /// Returns a fingerprint of all that decides where keys go: the placement logs, the nodes, which of them are
    /// drained, and the site's settings.
    pub(super) fn fingerprint(&self) -> Result<[u8; 32], BranchError> {
        let mut hash = Sha256::new_with_prefix(self.state()?.fingerprint);
        for member in self.nodes.iter() {
            hash.update(member.uuid.as_bytes());
            hash.update([0, u8::from(member.draining)]);
        }
        hash.update(format!("{:?} {:?}", self.unwanted, self.site.config().repair.surplus));
        Ok(hash.finalize().into())
    }

    /// Tells whether placement depends on how much nodes hold, as it was when it was looked at last.
    pub(super) fn goes_by_size(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).depends_on_sizes()
    }

    /// Returns the placement logs as they are now.
    fn state(&self) -> Result<Arc<PlacementState>, BranchError> {
        let mut known = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fresh) = self.branch.placement(Some(&known))? {
            *known = Arc::new(fresh);
        }
        Ok(Arc::clone(&known))
    }

    /// Tells whether only keys with a cryptographically secure hash may be stored.
    pub(super) fn secure_hashes_only(&self) -> Result<bool, BranchError> {
        Ok(self.state()?.secure_hashes_only)
    }

    /// Returns how many bytes a node holds, by the location logs.
    pub(super) fn held(&self, node: &Uuid) -> Result<u64, BranchError> {
        let mut sizes = self.sizes();
        self.branch.update_sizes(&mut sizes)?;
        Ok(sizes.of(node).unwrap_or_default())
    }

    /// Returns how many bytes all nodes hold together, by the location logs.
    pub(super) fn held_by_all(&self) -> Result<u64, BranchError> {
        let mut sizes = self.sizes();
        self.branch.update_sizes(&mut sizes)?;
        Ok(self.nodes.iter().filter_map(|member| sizes.of(&member.uuid)).fold(0, u64::saturating_add))
    }

    fn sizes(&self) -> MutexGuard<'_, Sizes> {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the positions of nodes whose copies count when one is removed elsewhere.
    pub(super) fn counting(&self) -> Result<Vec<usize>, BranchError> {
        let state = self.state()?;
        let counts = |(_, member): &(usize, &Member)| {
            !member.draining && state.placement.trust(&member.uuid) >= Trust::Semitrusted
        };
        Ok(self.nodes.iter().enumerate().filter(counts).map(|(position, _)| position).collect())
    }

    /// Tells whether a key is on a node of the cluster, but not on all that should have it, by the location log.
    pub(super) fn lacks(&self, key: &Key, locations: &BTreeSet<Uuid>) -> Result<bool, BranchError> {
        if !self.nodes.iter().any(|member| locations.contains(&member.uuid)) {
            return Ok(false);
        }
        let staying = self.nodes.iter().filter(|member| !member.draining).map(|member| member.uuid.clone());
        let (holders, absent): (Vec<Uuid>, Vec<Uuid>) = staying.partition(|uuid| locations.contains(uuid));
        if absent.is_empty() {
            return Ok(false);
        }
        let chosen = self.choose(key, None, &absent, &holders)?;
        Ok(!chosen.is_empty())
    }

    /// Returns the nodes whose copy of a key is surplus, given who has the key: they do not want it, and enough others
    /// (by numcopies and mincopies) have it.
    ///
    /// The gateway knows keys and not all of their file names, so a copy that some name could make wanted is none of these.
    /// Nor is required content, or a copy in a repository that is trusted (others count on it without asking), untrusted or
    /// dead.
    pub(super) fn surplus(&self, key: &Key, locations: &BTreeSet<Uuid>) -> Result<Vec<Uuid>, BranchError> {
        let holders = self.nodes.iter().filter(|member| locations.contains(&member.uuid));
        let holders: Vec<_> = holders.collect();
        if holders.len() < 2 {
            return Ok(Vec::new());
        }
        let needed = self.copies_needed()?;
        if holders.len() <= needed {
            return Ok(Vec::new());
        }
        let counting = self.counting()?.into_iter().filter_map(|position| self.nodes.get(position));
        let counting: BTreeSet<&Uuid> = counting.map(|member| &member.uuid).collect();
        let unwanted = self.judge(key, locations.clone(), |placement, facts| {
            let unwanted = holders.iter().filter(|member| {
                let repository = &member.uuid;
                let question = Question { repository, key, file: None, facts };
                !member.draining
                    && placement.trust(repository) == Trust::Semitrusted
                    && !placement.might_want_to_keep(&question)
            });
            unwanted.map(|member| member.uuid.clone()).collect::<Vec<_>>()
        })?;
        let mut surplus = Vec::new();
        for uuid in unwanted {
            let others = holders.iter().filter(|member| member.uuid != uuid);
            if others.filter(|member| counting.contains(&member.uuid)).count() < needed {
                continue;
            }
            // Repair would only bring it back.
            let staying = self.nodes.iter().filter(|member| !member.draining).map(|member| member.uuid.clone());
            let (present, absent): (Vec<Uuid>, Vec<Uuid>) =
                staying.partition(|member| locations.contains(member) && *member != uuid);
            if !self.choose(key, None, &absent, &present)?.contains(&uuid) {
                surplus.push(uuid);
            }
        }
        Ok(surplus)
    }

    /// Answers a question about a key by preferred content, given who has it (clusters not added).
    fn judge<T>(
        &self,
        key: &Key,
        locations: BTreeSet<Uuid>,
        judge: impl FnOnce(&Placement, &Facts<'_>) -> T,
    ) -> Result<T, BranchError> {
        let state = self.state()?;
        let (branch, sizes, failed) = (&self.branch, &self.sizes, Mutex::new(None));
        let coming = if state.depends_on_sizes() { self.coming(key) } else { HashMap::new() };
        let facts = Facts { branch, state: &state, sizes, coming, key, locations, failed };
        let judged = judge(&state.placement, &facts);
        match facts.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(judged),
        }
    }
}
