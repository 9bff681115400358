//! Emptying a node: each key goes once it is proved to be kept elsewhere.

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;

use super::proof::remove_proved;
use super::repair::repair;
use crate::gateway::{Gateway, GatewayError};
use crate::pace::Pace;

/// What came of emptying a node.
#[derive(Debug, Default)]
pub struct Drained {
    /// Keys that are gone from it now.
    pub gone: usize,
    /// Keys that stay, and why.
    pub kept: Vec<(Key, String)>,
}

/// Empties a node of the repository, by name: copies each key to where it should be, and removes it from the node
/// when enough other nodes hold it under lock.
pub async fn drain(gateway: &Gateway, name: &str, pace: &Pace) -> Result<Drained, GatewayError> {
    let position = gateway.shared.nodes.iter().position(|member| member.name == name);
    let Some((position, member)) = position.and_then(|at| Some((at, gateway.shared.nodes.get(at)?))) else {
        return Err(GatewayError::NoSuchNode(name.to_owned()));
    };
    let keys = gateway.shared.locations.keys(&member.uuid).await?;
    let mut drained = Drained::default();
    for key in keys {
        match release(gateway, position, &key, pace).await {
            Ok(()) => drained.gone += 1,
            Err(error) => drained.kept.push((key, error.to_string())),
        }
    }
    Ok(drained)
}

/// Removes a key from a node when as many other nodes as numcopies and mincopies ask for hold it, under lock.
async fn release(gateway: &Gateway, position: usize, key: &Key, pace: &Pace) -> Result<(), GatewayError> {
    // A failed copy matters only if the removal then finds too few copies; that error names both causes.
    let copied = repair(gateway, key, &AssociatedFile::default(), pace).await;
    remove_proved(gateway, position, key).await.map_err(|stays| match copied {
        Ok(_) => stays,
        Err(copying) => GatewayError::NotCopied { stays: Box::new(stays), copying: Box::new(copying) },
    })
}
