//! Bringing a key to nodes that should have it: after failures, and after changes of what nodes want.

use annex_protocol::key::Key;
use annex_protocol::log::LocationLog;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;

use crate::gateway::plan::Plan;
use crate::gateway::policy::Admission;
use crate::gateway::{Gateway, GatewayError, NodeFailure, Receiving, Stored, Target};
use crate::pace::Pace;

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

/// Stores a key on every node that should have it and does not, from copies that are there, no faster than `pace`.
///
/// What is copied is verified like an upload. An error if a copy is still missing, or may be.
pub async fn repair(
    gateway: &Gateway,
    key: &Key,
    file: &AssociatedFile,
    pace: &Pace,
) -> Result<Repaired, GatewayError> {
    let plan = Plan::make(gateway, Target::Cluster, key, file).await?;
    gateway.shared.locations.record_present(key, &plan.holders).await?;
    if plan.holders.is_empty() && plan.failures.is_empty() {
        return record_no_copy(gateway, key).await;
    }
    if plan.targets.is_empty() || plan.holders.is_empty() {
        return all_or(plan.failures, Repaired::Stored(Vec::new()));
    }
    let holders = plan.holders.clone();
    let receiving = gateway.receive(key, file, plan, Admission::of_stored(key)).await?;
    let Stored { nodes, left_out } = copy(receiving, gateway, key, pace).await?;
    let fresh: Vec<Uuid> = nodes.into_iter().filter(|uuid| !holders.contains(uuid)).collect();
    all_or(left_out, Repaired::Stored(fresh))
}

/// Fills an upload from the copies that a gateway's cluster has. Returns the nodes that have the key then, and why others
/// have it not.
pub(super) async fn copy(
    mut receiving: Receiving,
    from: &Gateway,
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
async fn record_no_copy(gateway: &Gateway, key: &Key) -> Result<Repaired, GatewayError> {
    let content = gateway.shared.locations.content(key).await?;
    let log = LocationLog::parse(&content);
    if log.lines().is_empty() || log.key_is_dead() {
        return Ok(Repaired::Unknown);
    }
    for member in gateway.shared.nodes.iter().filter(|member| log.is_present(&member.uuid)) {
        gateway.record_lost(member, key).await;
    }
    Ok(Repaired::Lost)
}

/// Returns what was done if no node failed.
fn all_or(failures: Vec<NodeFailure>, done: Repaired) -> Result<Repaired, GatewayError> {
    if failures.is_empty() { Ok(done) } else { Err(GatewayError::Nodes(failures)) }
}
