//! Bringing keys to nodes that should have them: after failures, and after changes of what nodes want.

use std::collections::BTreeSet;

use annex_protocol::key::Key;
use annex_protocol::log::LocationLog;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use keep_store::base::task::blocking;

use super::policy::Admission;
use super::{Gateway, GatewayError, NodeFailure, Receiving, Stored, Target};
use crate::branch::BranchError;
use crate::pace::Pace;
use crate::site::repair::Wanting;

/// What came of repairing a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Repaired {
    /// Every node that should have it has it; these had it not before.
    Stored(Vec<Uuid>),
    /// No node has it any more: there is nothing to copy from.
    Lost,
    /// No node has it, and nobody expects one to: it was never here, or is marked dead.
    Unknown,
}

/// What a look through all keys found.
#[derive(Debug, Default)]
pub struct Surveyed {
    /// How many keys lack a copy that a node should have.
    pub lacking: usize,
    /// Keys of which a node has a copy that it does not want.
    pub surplus: Vec<Key>,
}

/// Keys that are put into the repair queue at a time.
const BATCH: usize = 1000;

/// Lost keys that are looked at again at a time.
const MOST_LOST: usize = 10_000;

impl Gateway {
    /// Stores a key on every node that should have it and does not, from copies that are there, no faster than `pace`.
    ///
    /// What is copied is verified like an upload. An error if a copy is still missing, or may be.
    pub async fn repair(&self, key: &Key, file: &AssociatedFile, pace: &Pace) -> Result<Repaired, GatewayError> {
        let plan = self.plan(Target::Cluster, key, file).await?;
        self.record_present(key, &plan.holders).await?;
        if plan.holders.is_empty() && plan.failures.is_empty() {
            return self.record_no_copy(key).await;
        }
        if plan.targets.is_empty() || plan.holders.is_empty() {
            return all_or(plan.failures, Repaired::Stored(Vec::new()));
        }
        let holders = plan.holders.clone();
        let receiving = self.receive(key, file, plan, Admission::of_stored(key)).await?;
        let Stored { nodes, left_out } = self.copy(receiving, self, key, pace).await?;
        let fresh: Vec<Uuid> = nodes.into_iter().filter(|uuid| !holders.contains(uuid)).collect();
        all_or(left_out, Repaired::Stored(fresh))
    }

    /// Fills an upload from the copies that a gateway's cluster has. Returns the nodes that have the key then, and why others
    /// have it not.
    pub(super) async fn copy(
        &self,
        mut receiving: Receiving,
        from: &Self,
        key: &Key,
        pace: &Pace,
    ) -> Result<Stored, GatewayError> {
        let mut bad = false;
        let copied = async {
            let source = from.get(Target::Cluster, key, receiving.offset()).await?;
            let mut source = source.ok_or(GatewayError::Gone)?;
            receiving.announce(source.length()).await;
            while let Some(bytes) = source.next().await {
                // An error after the last byte says that the whole content was bad.
                let bytes = bytes.inspect_err(|_| bad = source.is_all())?;
                pace.pass(bytes.len()).await;
                receiving.push(bytes).await;
            }
            Ok::<(), GatewayError>(())
        };
        if let Err(error) = copied.await {
            match bad {
                true => receiving.abort().await,
                false => receiving.suspend().await,
            }
            return Err(error);
        }
        let stored = receiving.finish(true).await?;
        stored.ok_or(GatewayError::CameShort)
    }

    /// Records that no node has a key, after all of them have said so.
    async fn record_no_copy(&self, key: &Key) -> Result<Repaired, GatewayError> {
        let (branch, path) = (self.0.branch.clone(), key.branch_path(".log"));
        let content = blocking(move || branch.read(&path)).await?;
        let log = LocationLog::parse(&content);
        if log.lines().is_empty() || log.key_is_dead() {
            return Ok(Repaired::Unknown);
        }
        for member in self.0.nodes.iter().filter(|member| log.is_present(&member.uuid)) {
            self.record_lost(member, key).await;
        }
        Ok(Repaired::Lost)
    }

    /// Puts a key into the repair queue.
    pub(super) async fn want_repair(&self, key: &Key, file: &AssociatedFile, cause: String) {
        let (site, wanting) = (self.0.site.clone(), self.wanting_of(key, file, cause));
        if let Err(error) = blocking(move || site.want_repair(&wanting)).await {
            tracing::error!("{key}: it cannot be put into the repair queue: {error}");
        }
    }

    pub(super) fn wanting_of(&self, key: &Key, file: &AssociatedFile, cause: String) -> Wanting {
        let gateway = self.0.identity.gateway.clone();
        Wanting { gateway, key: key.clone(), file: file.clone(), cause, tries: 0 }
    }

    /// Looks through all keys by the git-annex branch: those that lack a wanted copy come into the repair queue, and so do
    /// those with a surplus copy if such copies are to be dropped. Blocks.
    pub fn survey(&self, drop_surplus: bool) -> Result<Surveyed, GatewayError> {
        let mut surveyed = Surveyed::default();
        let mut waiting = Vec::new();
        let mut failed = Ok(());
        self.0.branch.for_each_key(|key, locations| {
            let locations = locations.present().collect();
            let lacks = self.lacks(&key, &locations)?;
            let has_surplus = !self.surplus(&key, &locations)?.is_empty();
            if lacks || has_surplus && drop_surplus {
                let cause =
                    if lacks { "a node that wants it does not have it" } else { "a node has it and does not want it" };
                waiting.push(self.wanting_of(&key, &AssociatedFile::default(), cause.to_owned()));
            }
            surveyed.lacking += usize::from(lacks);
            if has_surplus {
                surveyed.surplus.push(key);
            }
            if waiting.len() >= BATCH && failed.is_ok() {
                failed = self.0.site.want_repairs(&std::mem::take(&mut waiting));
            }
            Ok(())
        })?;
        failed?;
        self.0.site.want_repairs(&waiting)?;
        Ok(surveyed)
    }

    /// Looks at lost keys again: those that a node has by now are to be repaired; those that are marked dead are forgotten.
    /// Blocks.
    pub fn look_at_lost(&self) -> Result<(), GatewayError> {
        let (site, gateway) = (&self.0.site, &self.0.identity.gateway);
        for wanting in site.repairs_lost(Some(gateway), MOST_LOST)? {
            let content = self.0.branch.read(&wanting.key.branch_path(".log"))?;
            let log = LocationLog::parse(&content);
            if log.key_is_dead() {
                site.repaired(gateway, &wanting.key)?;
            } else if self.0.nodes.iter().any(|member| log.is_present(&member.uuid)) {
                site.want_repair(&wanting)?;
            }
        }
        Ok(())
    }

    /// Tells whether a key is on a node of the cluster, but not on all that should have it, by the location log.
    pub(super) fn lacks(&self, key: &Key, locations: &BTreeSet<Uuid>) -> Result<bool, BranchError> {
        if !self.0.nodes.iter().any(|member| locations.contains(&member.uuid)) {
            return Ok(false);
        }
        let staying = self.0.nodes.iter().filter(|member| !member.draining).map(|member| member.uuid.clone());
        let (holders, absent): (Vec<Uuid>, Vec<Uuid>) = staying.partition(|uuid| locations.contains(uuid));
        if absent.is_empty() {
            return Ok(false);
        }
        let chosen = self.choose_blocking(key, None, &absent, &holders)?;
        Ok(!chosen.is_empty())
    }
}

/// Returns what was done if no node failed.
fn all_or(failures: Vec<NodeFailure>, done: Repaired) -> Result<Repaired, GatewayError> {
    if failures.is_empty() { Ok(done) } else { Err(GatewayError::Nodes(failures)) }
}
