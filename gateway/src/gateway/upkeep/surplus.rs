//! Dropping copies from nodes that do not want them.

use std::collections::BTreeSet;

use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;
use futures_util::future::join_all;
use keep_store::base::task::blocking;

use super::proof::remove_proved;
use crate::gateway::{Gateway, GatewayError};

/// Removes a key from nodes that do not want it, from each once enough other nodes hold it under lock. Returns the
/// names of the nodes that do not have it any more.
///
/// An error if a surplus copy could not be removed; those that could are gone.
pub async fn drop_surplus(gateway: &Gateway, key: &Key) -> Result<Vec<String>, GatewayError> {
    let mut gone: Vec<String> = Vec::new();
    let mut failures = Vec::new();
    let mut tried = BTreeSet::new();
    // One after the other: what nodes want depends on who has the key.
    while let Some(uuid) = surplus_now(gateway, key).await?.into_iter().find(|uuid| !tried.contains(uuid)) {
        let found = gateway.shared.nodes.iter().enumerate().find(|(_, member)| member.uuid == uuid);
        let Some((position, member)) = found else { break };
        match remove_proved(gateway, position, key).await {
            Ok(()) => {
                tracing::info!("{key}: dropped from node {}, which does not want it", member.name);
                gone.push(member.name.clone());
            }
            Err(error) => {
                let (node, source) = (member.name.clone(), Box::new(error));
                failures.push(GatewayError::SurplusStays { node, source });
            }
        }
        tried.insert(uuid);
    }
    GatewayError::of_all(failures).map(|()| gone)
}

/// Asks the nodes who has a key, and returns whose copy is surplus. A node that cannot be asked has what the log says.
async fn surplus_now(gateway: &Gateway, key: &Key) -> Result<Vec<Uuid>, GatewayError> {
    let mut locations = gateway.shared.locations.of(key).await?;
    let asked = gateway.shared.nodes.iter().map(|member| async move { (member, member.node.present(key).await) });
    for (member, said) in join_all(asked).await {
        match said {
            Ok(true) => drop(locations.insert(member.uuid.clone())),
            Ok(false) => drop(locations.remove(&member.uuid)),
            Err(_) => {}
        }
    }
    let (asking, key) = (gateway.clone(), key.clone());
    Ok(blocking(move || asking.shared.placer.surplus(&key, &locations)).await?)
}
