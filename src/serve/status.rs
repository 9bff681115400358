//! How the site is: what an admin sees, on the command line and over HTTP.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::hub::Hub;
use super::traffic::Transfer;
use crate::node::{Node, NodeError, Space};
use crate::site::SiteError;
use crate::task::blocking;

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
    let asked = hub.assemble().nodes(&site).into_iter().map(|(name, node)| probe(hub, name, node));
    let nodes = join_all(asked).await;
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

async fn probe(hub: &Hub, name: String, node: Arc<dyn Node>) -> NodeStatus {
    let space = match tokio::time::timeout(PROBE_TIME, node.space()).await {
        Ok(space) => space,
        Err(_) => Err(NodeError::Unreachable(format!("no answer for {} s", PROBE_TIME.as_secs()))),
    };
    let (state, reason, space) = judge(space);
    let store = hub.site().config().nodes.get(&name).map(|node| node.store.to_string()).unwrap_or_default();
    let account = hub.assemble().meters().account(&name);
    let (last_error, last_error_at) = account.last_error.map(|last| (last.text, last.at)).unzip();
    NodeStatus {
        name,
        store,
        state,
        reason,
        free: space.map(|space| space.free),
        total: space.map(|space| space.total),
        requests: account.requests,
        errors: account.errors,
        bytes_in: account.bytes_in,
        bytes_out: account.bytes_out,
        last_error,
        last_error_at,
    }
}

fn judge(space: Result<Option<Space>, NodeError>) -> (NodeState, Option<String>, Option<Space>) {
    match space {
        Ok(Some(space)) if space.free == 0 => (NodeState::Full, Some("there is no room left".to_owned()), Some(space)),
        Ok(space) => (NodeState::Up, None, space),
        Err(NodeError::Full(reason)) => (NodeState::Full, Some(reason), None),
        Err(NodeError::Unreachable(reason) | NodeError::Failed(reason)) => (NodeState::Down, Some(reason), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_without_room_is_full_and_one_that_fails_is_down() {
        let space = |free| Ok(Some(Space { total: 100, free }));
        assert_eq!(judge(space(1)).0, NodeState::Up);
        assert_eq!(judge(space(0)).0, NodeState::Full);
        assert_eq!(judge(Ok(None)).0, NodeState::Up);
        let (state, reason, _) = judge(Err(NodeError::Unreachable("gone".to_owned())));
        assert_eq!((state, reason.as_deref()), (NodeState::Down, Some("gone")));
    }
}
