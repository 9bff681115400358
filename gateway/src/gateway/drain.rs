//! Emptying a node: each key goes once it is proved to be kept elsewhere.

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use keep_store::base::task::blocking;

use super::{Gateway, GatewayError};
use crate::pace::Pace;

/// What came of emptying a node.
#[derive(Debug, Default)]
pub struct Drained {
    /// Keys that are gone from it now.
    pub gone: usize,
    /// Keys that stay, and why.
    pub kept: Vec<(Key, String)>,
}

impl Gateway {
    /// Empties a node of the repository, by name: copies each key to where it should be, and removes it from the node
    /// when enough other nodes hold it under lock.
    pub async fn drain(&self, name: &str, pace: &Pace) -> Result<Drained, GatewayError> {
        let position = self.0.nodes.iter().position(|member| member.name == name);
        let Some((position, member)) = position.and_then(|at| Some((at, self.0.nodes.get(at)?))) else {
            return Err(GatewayError::NoSuchNode(name.to_owned()));
        };
        let keys = self.keys_by_log(&member.uuid, true).await?;
        let mut drained = Drained::default();
        for key in keys {
            match self.release(position, &key, pace).await {
                Ok(()) => drained.gone += 1,
                Err(error) => drained.kept.push((key, error.to_string())),
            }
        }
        Ok(drained)
    }

    /// Returns the keys that a repository has by the location logs, or the others.
    pub(super) async fn keys_by_log(&self, uuid: &Uuid, present: bool) -> Result<Vec<Key>, GatewayError> {
        let (branch, uuid) = (self.0.branch.clone(), uuid.clone());
        let list = move || {
            let mut keys = Vec::new();
            branch.for_each_key(|key, locations| {
                if locations.is_present(&uuid) == present {
                    keys.push(key);
                }
                Ok(())
            })?;
            Ok(keys)
        };
        blocking(list).await
    }

    /// Removes a key from a node when as many other nodes as numcopies and mincopies ask for hold it, under lock.
    async fn release(&self, position: usize, key: &Key, pace: &Pace) -> Result<(), GatewayError> {
        // A failed copy matters only if the removal then finds too few copies; that error names both causes.
        let copied = self.repair(key, &AssociatedFile::default(), pace).await;
        self.remove_proved(position, key).await.map_err(|stays| match copied {
            Ok(_) => stays,
            Err(copying) => GatewayError::NotCopied { stays: Box::new(stays), copying: Box::new(copying) },
        })
    }
}
