//! How the site is: what an admin sees, on the command line and over HTTP.

use std::sync::Arc;
use std::time::Duration;

use annex_gateway::node::{Capacity, Node, NodeError, Space};
use annex_gateway::site::{NodeConfig, SiteError};
use futures_util::future::join_all;
use keep_store::base::task::blocking;
use serde::{Deserialize, Serialize};

use crate::host::hub::Hub;
use crate::host::traffic::Transfer;

/// How a site is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The version of the program.
    pub version: String,
    /// Whether a daemon tells this.
    pub daemon: bool,
    /// The process that tells this.
    pub process: u32,
    /// For how long it has been running.
    pub uptime_seconds: u64,
    /// Whether it is about to end and takes no new work.
    pub draining: bool,
    /// Where doors are open.
    pub listening: Vec<String>,
    /// The hosted repositories.
    pub repositories: Vec<String>,
    /// How many of them are open.
    pub open_repositories: u64,
    /// The nodes.
    pub nodes: Vec<NodeStatus>,
    /// Transfers that have their turn.
    pub running: u64,
    /// Transfers that wait for it.
    pub waiting: u64,
    /// Transfers under way, oldest first.
    pub transfers: Vec<Transfer>,
    /// Content locks that hold, of all processes.
    pub locks: u64,
    /// Keys that wait for repair.
    #[serde(default)]
    pub repairs: u64,
    /// Keys that no node has any more.
    #[serde(default)]
    pub lost: u64,
    /// Open connections.
    pub connections: u64,
}

/// How a node is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// Where it keeps content, without secrets.
    pub store: String,
    /// Whether it can be used.
    pub state: NodeState,
    /// Why it cannot.
    pub reason: Option<String>,
    /// Bytes that can still be stored.
    pub free: Option<u64>,
    /// Bytes that the place has.
    pub total: Option<u64>,
    /// Bytes that it holds, where a maximum is set.
    pub held: Option<u64>,
    /// The most that it should hold.
    pub max_size: Option<u64>,
    /// Bytes that uploads under way have still to bring, of all processes.
    pub reserved: u64,
    /// Requests to it.
    pub requests: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Bytes sent to it.
    pub bytes_in: u64,
    /// Bytes that came from it.
    pub bytes_out: u64,
    /// What it said when it last failed.
    pub last_error: Option<String>,
    /// When that was, in seconds since the epoch.
    pub last_error_at: Option<u64>,
}

/// Whether a node can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// It can.
    Up,
    /// Not for storing.
    Full,
    /// It cannot.
    Down,
}

/// A node that does not say how it is within this time counts as down.
const PROBE_TIME: Duration = Duration::from_secs(5);

/// Looks how the site is. Asks every node.
pub async fn status(hub: &Hub, daemon: bool) -> Result<Status, SiteError> {
    let site = hub.site();
    let nodes = nodes(hub, |_| true).await?;
    let known = move || Ok::<_, SiteError>((site.repos()?, site.locks()?, site.count_repairs()?));
    let (repositories, locks, (repairs, lost)) = blocking(known).await?;
    let (running, waiting) = hub.traffic().running_and_waiting();
    Ok(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        daemon,
        process: std::process::id(),
        uptime_seconds: hub.uptime().as_secs(),
        draining: hub.shutdown().drain.is_cancelled(),
        listening: hub.listeners(),
        repositories: repositories.iter().map(ToString::to_string).collect(),
        open_repositories: hub.open_repositories() as u64,
        nodes,
        running: running as u64,
        waiting: waiting as u64,
        transfers: hub.traffic().transfers(),
        locks,
        repairs,
        lost,
        connections: hub.traffic().connections() as u64,
    })
}

/// Looks how those nodes are that are wanted.
pub async fn nodes(hub: &Hub, wanted: impl Fn(&NodeConfig) -> bool) -> Result<Vec<NodeStatus>, SiteError> {
    let site = hub.site();
    let looking = site.clone();
    let reserved = blocking(move || looking.reserved()).await?;
    let nodes = hub.assemble().nodes(&site).into_iter();
    let nodes = nodes.filter(|(name, _)| site.config().nodes.get(name).is_some_and(&wanted));
    let asked = nodes.map(|(name, node)| {
        let reserved = reserved.get(&name).copied().unwrap_or_default();
        probe(hub, name, node, reserved)
    });
    Ok(join_all(asked).await)
}

async fn probe(hub: &Hub, name: String, node: Arc<dyn Node>, reserved: u64) -> NodeStatus {
    let looked = tokio::time::timeout(PROBE_TIME, async {
        let capacity = node.capacity().await;
        let held = held(hub, &name, capacity.as_ref().ok()).await;
        (capacity.map(|capacity| capacity.space), held)
    });
    let (space, held) = match looked.await {
        Ok(looked) => looked,
        Err(_) => (Err(NodeError::Unreachable(format!("no answer for {} s", PROBE_TIME.as_secs()))), None),
    };
    let site = hub.site();
    let config = site.config().nodes.get(&name);
    let reserve = config.map(NodeConfig::reserve_beside_store).unwrap_or_default();
    let max_size = config.and_then(|config| config.max_size);
    let (state, reason, space) = judge(space.map(|space| space.map(|space| space.above(reserve))), held.zip(max_size));
    let store = config.map(|node| node.store.to_string()).unwrap_or_default();
    let account = hub.meters().account(&name);
    let (last_error, last_error_at) = account.last_error.map(|last| (last.text, last.at)).unzip();
    NodeStatus {
        name,
        store,
        state,
        reason,
        free: space.map(|space| space.free),
        total: space.map(|space| space.total),
        held,
        max_size,
        reserved,
        requests: account.requests,
        errors: account.errors,
        bytes_in: account.bytes_in,
        bytes_out: account.bytes_out,
        last_error,
        last_error_at,
    }
}

/// Returns what a node holds, if a maximum is set for it.
async fn held(hub: &Hub, name: &str, capacity: Option<&Capacity>) -> Option<u64> {
    let site = hub.site();
    let config = site.config().nodes.get(name).filter(|config| config.max_size.is_some())?;
    if let Some(held) = capacity.and_then(|capacity| capacity.held) {
        return Some(held);
    }
    let (opening, repo) = (hub.clone(), config.repo.clone()?);
    let hosted = blocking(move || opening.open(&repo)).await.ok()?;
    hub.gateway(&hosted).await.held_by(name).await?.ok()
}

fn judge(
    space: Result<Option<Space>, NodeError>,
    held: Option<(u64, u64)>,
) -> (NodeState, Option<String>, Option<Space>) {
    match space {
        Ok(Some(space)) if space.free == 0 => (NodeState::Full, Some("there is no room left".to_owned()), Some(space)),
        Ok(space) if held.is_some_and(|(held, most)| held >= most) => {
            (NodeState::Full, Some("it holds as much as its maxsize allows".to_owned()), space)
        }
        Ok(space) => (NodeState::Up, None, space),
        Err(NodeError::Full(reason)) => (NodeState::Full, Some(reason), None),
        Err(error) => (NodeState::Down, Some(error.reason().to_owned()), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_without_room_is_full_and_one_that_fails_is_down() {
        let space = |free| Ok(Some(Space { total: 100, free, device: None }));
        assert_eq!(judge(space(1), None).0, NodeState::Up);
        assert_eq!(judge(space(0), None).0, NodeState::Full);
        assert_eq!(judge(Ok(None), None).0, NodeState::Up);
        assert_eq!(judge(space(1), Some((9, 10))).0, NodeState::Up);
        assert_eq!(judge(space(1), Some((10, 10))).0, NodeState::Full);
        let (state, reason, _) = judge(Err(NodeError::Unreachable("gone".to_owned())), None);
        assert_eq!((state, reason.as_deref()), (NodeState::Down, Some("gone")));
    }
}
