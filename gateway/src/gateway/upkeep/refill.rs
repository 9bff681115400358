//! Filling a node's new place from its old one, if that still answers, and from other nodes.

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;

use super::repair::copy;
use crate::gateway::plan::Plan;
use crate::gateway::policy::Admission;
use crate::gateway::{Gateway, GatewayError, Member};
use crate::pace::Pace;

/// How far the replacement of a node's place has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The old place is still in use: what it has is copied, and nothing else is said of it.
    Before,
    /// The new place is in use: what it lacks is copied from wherever it is, and recorded as gone if it is nowhere.
    After {
        /// Keys count, too, that nothing but the old place itself knows of.
        unlogged: bool,
    },
}

/// What came of filling a node's new place.
#[derive(Debug, Default)]
pub struct Refilled {
    /// Keys that were there already.
    pub there: usize,
    /// Keys that were copied there.
    pub copied: usize,
    /// Keys that are not there, and why.
    pub missing: Vec<(Key, String)>,
    /// Why the old place was not asked for keys that only it knows of, though it should have been.
    pub not_asked: Option<String>,
}

/// Copies to a node, by name, the keys that it has by the location logs and lacks in its new place; `old` is the gateway
/// of the same repository in which the node is still in its old one.
///
/// What is copied is verified like an upload, and comes no faster than `pace`.
pub async fn refill(
    gateway: &Gateway,
    name: &str,
    old: &Gateway,
    stage: Stage,
    pace: &Pace,
) -> Result<Refilled, GatewayError> {
    let (member, before) = (gateway.named(name)?, old.named(name)?);
    let mut refilled = Refilled::default();
    let mut ask_for_unlogged = stage == (Stage::After { unlogged: true });
    // The list is of one moment: a gateway that works with the new place already may record keys as gone meanwhile.
    for (key, logged) in gateway.shared.locations.all_keys(&member.uuid).await? {
        if !logged {
            let had = if ask_for_unlogged { before.node.present(&key).await } else { Ok(false) };
            if let Err(source) = &had {
                refilled.not_asked = Some(source.to_string());
                ask_for_unlogged = false;
            }
            if !had.unwrap_or(false) {
                continue;
            }
        }
        if stage == Stage::Before && !before.node.present(&key).await.unwrap_or(false) {
            continue;
        }
        match carry(gateway, member, &key, old, pace).await {
            Ok(true) => refilled.copied += 1,
            Ok(false) => refilled.there += 1,
            Err(error) => {
                if stage != Stage::Before {
                    gateway.record_lost(member, &key).await;
                }
                refilled.missing.push((key, error.to_string()));
            }
        }
    }
    Ok(refilled)
}

/// Copies a key to a node; false if the node has it.
async fn carry(
    gateway: &Gateway,
    member: &Member,
    key: &Key,
    from: &Gateway,
    pace: &Pace,
) -> Result<bool, GatewayError> {
    if member.node.present(key).await.map_err(|source| member.failed(source))? {
        return Ok(false);
    }
    let plan = Plan { targets: vec![member.clone()], holders: Vec::new(), failures: Vec::new() };
    let receiving = gateway.receive(key, &AssociatedFile::default(), plan, Admission::of_stored(key)).await?;
    copy(receiving, from, key, pace).await.map(|_| true)
}
