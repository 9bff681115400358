//! Which nodes a key goes to.
//!
//! Source: `docs/spec/p2p-protocol.md` §11.2, `docs/spec/preferred-content.md` §9; `docs/decisions/placement.md`.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};

use annex_protocol::key::Key;
use annex_protocol::log::SingleLog;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::prefer::{Question, pick};
use annex_protocol::uuid::Uuid;
use futures_util::future::join_all;
use keep_store::base::task::blocking;
use sha2::{Digest, Sha256};

use super::facts::logged;
use super::{Gateway, GatewayError, Member, NodeFailure, Target};
use crate::branch::BranchError;
use crate::branch::placement::PlacementState;
use crate::site::Unwanted;

/// What a PUT is to do.
pub(super) struct Plan {
    /// The nodes that the content is to be stored on.
    pub(super) targets: Vec<Member>,
    /// The nodes that have it already.
    pub(super) holders: Vec<Uuid>,
    /// Nodes that could not be asked, and why.
    pub(super) failures: Vec<NodeFailure>,
}

impl Gateway {
    /// Decides where an upload goes.
    ///
    /// To a node: there, if it does not have the content. To the cluster: to the nodes without it that want it by
    /// preferred content as the git-annex branch has it now.
    pub(super) async fn plan(&self, target: Target, key: &Key, file: &AssociatedFile) -> Result<Plan, GatewayError> {
        let mut plan = Plan { targets: Vec::new(), holders: Vec::new(), failures: Vec::new() };
        let asked = self.members(target).iter().map(|member| async move { (member, member.node.present(key).await) });
        let mut without = Vec::new();
        for (member, present) in join_all(asked).await {
            match present {
                Ok(true) => plan.holders.push(member.uuid.clone()),
                Ok(false) => without.push(member.clone()),
                Err(source) => plan.failures.push(member.failure(source)),
            }
        }
        if target == Target::Cluster {
            without.retain(|member: &Member| !member.draining);
            let staying = plan.holders.iter().filter(|uuid| !self.is_draining(uuid)).cloned().collect::<Vec<_>>();
            without = self.choose(key, file, without, &staying).await?;
        }
        plan.targets = without;
        Ok(plan)
    }

    /// Tells whether a node is to become empty.
    pub(super) fn is_draining(&self, uuid: &Uuid) -> bool {
        self.0.nodes.iter().any(|member| member.draining && member.uuid == *uuid)
    }

    /// Chooses among the nodes of the cluster that lack a key.
    async fn choose(
        &self,
        key: &Key,
        file: &AssociatedFile,
        without: Vec<Member>,
        holders: &[Uuid],
    ) -> Result<Vec<Member>, GatewayError> {
        if without.is_empty() {
            return Ok(without);
        }
        let (gateway, asked_key, name) = (self.clone(), key.clone(), file.decode());
        let (absent, present) = (uuids(&without), holders.to_vec());
        let decide = move || gateway.choose_blocking(&asked_key, name.as_deref(), &absent, &present);
        let chosen = blocking(decide).await?;
        Ok(without.into_iter().filter(|member| chosen.contains(&member.uuid)).collect())
    }

    /// Chooses among `absent`, the nodes that lack a key, while `present` have it. Blocks.
    ///
    /// Those that want it; if none does and not enough have it, what the site says about unwanted keys.
    pub(super) fn choose_blocking(
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
        match self.0.unwanted {
            Unwanted::All if present.is_empty() => Ok(absent.to_vec()),
            Unwanted::Numcopies => {
                let missing = usize::try_from(numcopies).unwrap_or(usize::MAX).saturating_sub(present.len());
                let all: BTreeSet<Uuid> = uuids(&self.0.nodes).into_iter().collect();
                let candidates: BTreeSet<&Uuid> = absent.iter().collect();
                let candidates: Vec<&Uuid> = candidates.into_iter().collect();
                let chosen = pick(&all, &candidates, key.as_bytes(), i64::try_from(missing).unwrap_or(i64::MAX));
                Ok(chosen.into_iter().cloned().collect())
            }
            Unwanted::All | Unwanted::Refuse => Ok(Vec::new()),
        }
    }

    /// Returns those of the nodes `absent` that want a key, and numcopies. Blocks.
    pub(super) fn wanting(
        &self,
        key: &Key,
        file: Option<&[u8]>,
        absent: &[Uuid],
        present: &[Uuid],
    ) -> Result<(Vec<Uuid>, u64), BranchError> {
        // The nodes' own answers are newer than the log, so the log is evaluated as if it said the same.
        let mut locations = logged(&self.0.branch.read(&key.branch_path(".log"))?);
        locations.retain(|uuid| !absent.contains(uuid));
        locations.extend(present.iter().cloned());
        self.judge(key, locations, |placement, facts| {
            let wants =
                |repository: &&Uuid| placement.wants(&Question { repository, key, file, facts }).unwrap_or(true);
            (absent.iter().filter(wants).cloned().collect(), placement.numcopies.get())
        })
    }

    /// Returns how many bytes uploads of other keys will bring to each node. Blocks.
    pub(super) fn coming(&self, key: &Key) -> HashMap<Uuid, u64> {
        self.0.site.uploads_under_way(key).unwrap_or_else(|error| {
            tracing::warn!("{key}: nodes were chosen without counting uploads under way: {error}");
            HashMap::new()
        })
    }

    /// Returns how many copies must be left when one is removed. Blocks.
    pub(super) fn copies_needed(&self) -> Result<usize, BranchError> {
        let numcopies = self.placement()?.placement.numcopies.get();
        let log = self.0.branch.read(b"mincopies.log")?;
        let mincopies = SingleLog::parse(&log).value().unwrap_or_default().get();
        Ok(usize::try_from(numcopies.max(mincopies)).unwrap_or(usize::MAX).max(1))
    }

    /// Returns a fingerprint of all that decides where keys go: the placement logs, the nodes, which of them are
    /// drained, and the site's settings. Blocks.
    pub fn placement_fingerprint(&self) -> Result<[u8; 32], GatewayError> {
        let mut hash = Sha256::new_with_prefix(self.placement()?.fingerprint);
        for member in self.0.nodes.iter() {
            hash.update(member.uuid.as_bytes());
            hash.update([0, u8::from(member.draining)]);
        }
        hash.update(format!("{:?} {:?}", self.0.unwanted, self.0.site.config().repair.surplus));
        Ok(hash.finalize().into())
    }

    /// Tells whether placement depends on how much nodes hold, as it was when it was looked at last.
    pub(super) fn places_by_size(&self) -> bool {
        self.0.placement.lock().unwrap_or_else(PoisonError::into_inner).depends_on_sizes()
    }

    /// Returns the placement logs as they are now. Blocks.
    pub(super) fn placement(&self) -> Result<Arc<PlacementState>, BranchError> {
        let mut known = self.0.placement.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fresh) = self.0.branch.placement(Some(&known))? {
            *known = Arc::new(fresh);
        }
        Ok(Arc::clone(&known))
    }
}

fn uuids(members: &[Member]) -> Vec<Uuid> {
    members.iter().map(|member| member.uuid.clone()).collect()
}
