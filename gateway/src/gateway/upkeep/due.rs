//! Which copies are to be read again: those that were read longest ago.

use std::collections::{BTreeSet, BinaryHeap};

use annex_protocol::key::Key;
use annex_protocol::log::Status;
use annex_protocol::uuid::Uuid;

use crate::branch::BranchError;
use crate::gateway::{Gateway, GatewayError, Member};

/// A copy to be read again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// When it was last read or stored, in seconds since the epoch.
    pub since: u64,
    /// The node's name.
    pub node: String,
    /// The node's UUID.
    pub uuid: Uuid,
    /// The key.
    pub key: Key,
}

/// Returns the copies on these nodes (by name) that were last read before a time, in seconds since the epoch;
/// the oldest first, and no more than `at_most`. Blocks.
///
/// A copy that was never read again was verified when it was stored: then its line came into the location log.
pub fn copies_due(
    gateway: &Gateway,
    nodes: &BTreeSet<String>,
    before: u64,
    at_most: usize,
) -> Result<Vec<Due>, GatewayError> {
    let now = gateway.shared.site.clock().unix_seconds();
    let mut due = BinaryHeap::new();
    let mut failed = None;
    gateway.shared.branch.for_each_key(|key, locations| {
        for line in locations.lines().iter().filter(|line| line.status == Status::Present) {
            let Some(uuid) = Uuid::parse(line.info) else { continue };
            let named = |member: &&Member| member.uuid == uuid && nodes.contains(&member.name);
            let Some(member) = gateway.shared.nodes.iter().find(named) else { continue };
            // A time in the future proves nothing: a clock was wrong.
            let logged = u64::try_from(line.clock.seconds()).ok().filter(|at| *at <= now).unwrap_or(0);
            let scrubbed = gateway.shared.site.scrubbed_at(&uuid, &key).unwrap_or_else(|error| {
                failed.get_or_insert(error);
                None
            });
            let since = scrubbed.unwrap_or(0).max(logged);
            if since < before {
                due.push(Due { since, node: member.name.clone(), uuid, key: key.clone() });
            }
            if due.len() > at_most {
                due.pop();
            }
        }
        Ok::<_, BranchError>(())
    })?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(due.into_sorted_vec()),
    }
}
