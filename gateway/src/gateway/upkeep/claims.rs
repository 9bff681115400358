//! Asking a node about what a push said of it.

use annex_protocol::log::Status;

use crate::branch::claims::Claim;
use crate::gateway::{Gateway, GatewayError, Shared};

/// Asks the node, and records its answer as newer than the claim, so that whoever made that is put right by the next
/// fetch.
pub async fn look_again(gateway: &Gateway, claim: &Claim) -> Result<(), GatewayError> {
    let Shared { locations, known, nodes, .. } = &*gateway.shared;
    let Claim { node, key, clock } = claim;
    let Some(member) = nodes.iter().find(|member| member.uuid == *node) else { return Ok(()) };
    known.forget(member, key).await?;
    let there = member.node.present(key).await.map_err(|source| member.failed(source))?;
    match there {
        true => locations.record_present(key, std::slice::from_ref(node)).await?,
        false => gateway.record_lost(member, key).await,
    }
    let status = if there { Status::Present } else { Status::Missing };
    locations.affirm(key, node, status, *clock).await?;
    // An upload or a removal may have come in between.
    match member.node.present(key).await {
        Ok(now) if now != there => {
            let status = if now { Status::Present } else { Status::Missing };
            Ok(locations.record(key, vec![(node.clone(), status)]).await?)
        }
        _ => Ok(()),
    }
}
