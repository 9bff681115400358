//! Emptying a node: each key goes once it is proved to be kept elsewhere.

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;

use super::{Gateway, GatewayError, Locked, Target};
use crate::task::blocking;

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
    pub async fn drain(&self, name: &str) -> Result<Drained, GatewayError> {
        let position = self.0.nodes.iter().position(|member| member.name == name);
        let Some((position, member)) = position.and_then(|at| Some((at, self.0.nodes.get(at)?))) else {
            return Err(GatewayError::Refused(format!("this repository has no node {name}")));
        };
        let (gateway, uuid) = (self.clone(), member.uuid.clone());
        let keys = blocking(move || {
            let mut keys = Vec::new();
            gateway.0.branch.for_each_key(|key, locations| {
                if locations.present().any(|present| present == uuid) {
                    keys.push(key);
                }
                Ok(())
            })?;
            Ok::<_, GatewayError>(keys)
        })
        .await?;
        let mut drained = Drained::default();
        for key in keys {
            match self.release(position, &key).await {
                Ok(()) => drained.gone += 1,
                Err(error) => drained.kept.push((key, error.to_string())),
            }
        }
        Ok(drained)
    }

    /// Removes a key from a node when as many other nodes as numcopies and mincopies ask for hold it, under lock.
    async fn release(&self, position: usize, key: &Key) -> Result<(), GatewayError> {
        // What cannot be copied now is told by what is missing below.
        let copied = self.repair(key, &AssociatedFile::default()).await;
        let gateway = self.clone();
        let needed = blocking(move || gateway.copies_needed()).await?;
        let mut locks: Vec<Locked> = Vec::new();
        for (other, member) in self.0.nodes.iter().enumerate() {
            if other == position || member.draining || locks.len() >= needed {
                continue;
            }
            if let Ok(Some(lock)) = self.lock(Target::Node(other), key).await {
                locks.push(lock);
            }
        }
        let outcome = if locks.len() >= needed {
            let removed = self.remove(Target::Node(position), key, None).await;
            removed.and_then(|removed| match removed.failures.as_slice() {
                [] => Ok(()),
                failures => Err(GatewayError::Refused(failures.join("; "))),
            })
        } else {
            let why = copied.err().map(|error| format!(": {error}")).unwrap_or_default();
            let text = format!("{needed} copies must be on other nodes, and {} are{why}", locks.len());
            Err(GatewayError::Refused(text))
        };
        for lock in locks {
            self.unlock(lock).await?;
        }
        outcome
    }
}
