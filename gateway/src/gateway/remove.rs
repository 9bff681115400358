//! Removing content.

use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;
use futures_util::future::join_all;
use keep_store::base::task::blocking;

use super::{ErrorKind, Gateway, GatewayError, HasKind, Member, Target};
use crate::site::hold::Removal;

/// What came of a removal.
#[derive(Debug)]
pub struct Removed {
    /// The nodes that do not have the content any more, or never had it.
    pub gone: Vec<Uuid>,
    /// Why it is not gone everywhere; empty if it is. Each names its node.
    pub failures: Vec<GatewayError>,
}

impl Removed {
    /// Returns what kind of error it is if the content is not gone everywhere: a conflict if locks and deadlines alone are
    /// the reason.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::of_all(self.failures.iter().map(HasKind::kind))
    }
}

impl Gateway {
    /// Removes a key from every node of the target. If one fails, it is still removed from the others.
    ///
    /// With `before`, nothing is removed from that time on by [`Gateway::now`]. Content that is locked stays.
    pub async fn remove(&self, target: Target, key: &Key, before: Option<u64>) -> Result<Removed, GatewayError> {
        let members = self.members(target);
        let (site, removed_key) = (self.shared.site.clone(), key.clone());
        let uuids: Vec<Uuid> = members.iter().map(|member| member.uuid.clone()).collect();
        let announced = blocking(move || site.begin_removals(&uuids, &removed_key)).await?;
        let each = members.iter().zip(&announced).map(|(member, removal)| async move {
            (member, self.remove_from(member, key, before, removal.is_some()).await)
        });
        let outcomes = join_all(each).await;
        let mut removed = Removed { gone: Vec::new(), failures: Vec::new() };
        for (member, outcome) in outcomes {
            match outcome {
                Ok(others) => {
                    removed.gone.push(member.uuid.clone());
                    removed.gone.extend(others);
                }
                Err(error) => removed.failures.push(error),
            }
        }
        self.end(key, announced.into_iter().flatten().collect(), removed.gone.clone()).await?;
        Ok(removed)
    }

    /// Removes a key from a node, and makes sure that nobody remembers it as present, whatever happens in between.
    async fn remove_forgotten(&self, member: &Member, key: &Key) -> Result<Vec<Uuid>, GatewayError> {
        self.shared.known.forget(member, key).await?;
        let removed = member.node.remove(key).await.map_err(|source| member.failed(source));
        self.shared.known.forget(member, key).await?;
        Ok(self.behind(member, removed?))
    }

    /// Removes a key from a node. If the removal was not `announced`, the key is locked there.
    async fn remove_from(
        &self,
        member: &Member,
        key: &Key,
        before: Option<u64>,
        announced: bool,
    ) -> Result<Vec<Uuid>, GatewayError> {
        // Presence is looked at before time and locks: content that is not there is gone, whatever the deadline.
        match member.node.present(key).await {
            Ok(false) => {
                self.shared.known.forget(member, key).await?;
                return Ok(Vec::new());
            }
            Ok(true) if !announced => return Err(GatewayError::Locked { node: member.name.clone() }),
            Ok(true) => {}
            Err(source) => return Err(member.failed(source)),
        }
        if let Some(before) = before
            && self.now().await? >= before
        {
            return Err(GatewayError::TooLate { node: member.name.clone() });
        }
        self.remove_forgotten(member, key).await
    }

    /// Ends the announced removal, and records from which nodes the key is gone.
    async fn end(&self, key: &Key, removals: Vec<Removal>, gone: Vec<Uuid>) -> Result<(), GatewayError> {
        let (gateway, key) = (self.clone(), key.clone());
        let ending = move || {
            // What is gone is gone, also if this fails: locks are refused then, up to the deadline.
            if let Err(error) = gateway.shared.site.end_removals(&removals) {
                tracing::error!("ending removals: {error}");
            }
            gateway.shared.locations.record_gone(&key, gone)
        };
        Ok(blocking(ending).await?)
    }
}
