//! Reading copies again to find those that are no longer what was stored.

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use futures_util::StreamExt;
use tokio::time::timeout;

use crate::gateway::digest::Checker;
use crate::gateway::{Gateway, GatewayError, Member, Shared};
use crate::node::NodeError;
use crate::pace::Pace;

/// What a second look at a copy says.
#[derive(Debug, PartialEq, Eq)]
pub enum CopyState {
    /// It is the key's content, as far as the key can tell.
    Good,
    /// It is not, and was set aside.
    Bad,
    /// The node does not have it, though the location log said so.
    Gone,
}

/// Reads a key's copy on a node from start to end, by the node's name and no faster than `pace`, and returns what it
/// is and its size.
///
/// A copy that is bad or gone is taken out of the location log and comes into the repair queue.
pub async fn scrub(gateway: &Gateway, name: &str, key: &Key, pace: &Pace) -> Result<(CopyState, u64), GatewayError> {
    let member = gateway.named(name)?;
    let read = read_whole(member, key, pace).await.map_err(|source| member.failed(source))?;
    match read {
        None => {
            gateway.record_lost(member, key).await;
            Ok((CopyState::Gone, 0))
        }
        Some((true, size)) => Ok((CopyState::Good, size)),
        Some((false, size)) => {
            condemn(gateway, member, key).await;
            Ok((CopyState::Bad, size))
        }
    }
}

/// Looks again, in the background, at a copy that turned out to be bad. No answer waits for this.
pub(in crate::gateway) fn condemn_soon(gateway: &Gateway, member: &Member, key: &Key) {
    let (gateway, member, key) = (gateway.clone(), member.clone(), key.clone());
    tokio::spawn(async move { condemn(&gateway, &member, &key).await });
}

/// Looks again at a copy whose bytes were not the key's. If they still are not, it is set aside, taken out of the
/// location log, and comes into the repair queue; unless no other node has a copy.
async fn condemn(gateway: &Gateway, member: &Member, key: &Key) {
    let Shared { nodes, known, locations, queue, .. } = &*gateway.shared;
    let condemned = async {
        if !matches!(read_whole(member, key, &Pace::default()).await, Ok(Some((false, _)))) {
            return Ok::<(), GatewayError>(());
        }
        let mut others = false;
        for other in nodes.iter().filter(|other| other.uuid != member.uuid) {
            others |= other.node.present(key).await.unwrap_or(false);
        }
        if !others {
            tracing::error!("{key}: the copy on node {} is bad, and there is no other: it stays", member.name);
            return Ok(());
        }
        known.forget(member, key).await?;
        member.node.set_aside(key).await.map_err(|source| member.failed(source))?;
        known.forget(member, key).await?;
        tracing::warn!("{key}: the copy on node {} was bad, and is set aside", member.name);
        locations.record_missing(key, &member.uuid).await?;
        let cause = format!("the copy on node {} was bad", member.name);
        queue.put(key, &AssociatedFile::default(), cause).await;
        Ok(())
    };
    if let Err(error) = condemned.await {
        tracing::warn!("{key}: setting a bad copy on node {} aside: {error}", member.name);
    }
}

/// Reads a copy; returns whether it is the key's content, and its size.
async fn read_whole(member: &Member, key: &Key, pace: &Pace) -> Result<Option<(bool, u64)>, NodeError> {
    let Some(mut content) = member.node.get(key, 0).await? else { return Ok(None) };
    let mut checker = Checker::new(key);
    let patience = member.patience.progress;
    let stalled = |_| NodeError::Unreachable(format!("nothing came for {} s", patience.as_secs()));
    while let Some(bytes) = timeout(patience, content.stream.next()).await.map_err(stalled)? {
        match bytes {
            Ok(bytes) => {
                pace.pass(bytes.len()).await;
                checker.take(bytes).await;
            }
            Err(_) if content.verified => return Ok(None),
            Err(error) => return Err(NodeError::Failed(error.to_string())),
        }
    }
    Ok(Some((checker.finish().await, content.size)))
}
