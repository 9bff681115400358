//! Removing content.

use annex_protocol::key::Key;
use annex_protocol::log::Status;
use annex_protocol::uuid::Uuid;
use futures_util::future::join_all;

use super::{Gateway, GatewayError, Member, Target};
use crate::task::blocking;

/// What came of a removal.
#[derive(Debug)]
pub struct Removed {
    /// The nodes that do not have the content any more, or never had it.
    pub gone: Vec<Uuid>,
    /// Why it is not gone everywhere; empty if it is. Each text names its node.
    pub failures: Vec<String>,
    /// No node failed: what stays is locked, or the time allowed is over.
    pub only_refused: bool,
}

/// Why a node keeps its content.
enum Kept {
    Locked,
    TooLate,
    Failed(GatewayError),
}

impl Gateway {
    /// Removes a key from every node of the target, and from each on its own: one that fails does not spare the others.
    ///
    /// With `before`, nothing is removed from that time on by [`Gateway::now`]. Content that is locked stays.
    pub async fn remove(&self, target: Target, key: &Key, before: Option<u64>) -> Result<Removed, GatewayError> {
        let each = self
            .members(target)
            .iter()
            .map(|member| async move { (member, self.remove_from(member, key, before).await) });
        let mut removed = Removed { gone: Vec::new(), failures: Vec::new(), only_refused: true };
        for (member, outcome) in join_all(each).await {
            match outcome {
                Ok(others) => {
                    removed.gone.push(member.uuid.clone());
                    removed.gone.extend(others);
                }
                Err(Kept::Locked) => {
                    removed.failures.push(format!("node {}: the content is locked against removal", member.name));
                }
                Err(Kept::TooLate) => {
                    removed.failures.push(format!("node {}: the time allowed for the removal is over", member.name));
                }
                Err(Kept::Failed(error)) => {
                    removed.only_refused = false;
                    removed.failures.push(error.to_string());
                }
            }
        }
        let changes = removed.gone.iter().map(|uuid| (uuid.clone(), Status::Missing));
        let logged = self.logged(key).await?;
        self.record(key, changes.filter(|(uuid, _)| logged.contains(uuid)).collect()).await?;
        Ok(removed)
    }

    /// Removes a key from a node, so that nobody takes it for known to be there, whatever happens in between.
    async fn remove_forgotten(&self, member: &Member, key: &Key) -> Result<Vec<Uuid>, GatewayError> {
        self.forget(member, key).await?;
        let removed = member.remove_and_tell(key).await.map_err(|source| member.failed(source));
        self.forget(member, key).await?;
        Ok(self.behind(member, removed?))
    }

    async fn remove_from(&self, member: &Member, key: &Key, before: Option<u64>) -> Result<Vec<Uuid>, Kept> {
        // Presence comes before time and locks: what is not there is gone, whenever that is asked.
        match member.present(key).await {
            Ok(false) => return self.forget(member, key).await.map(|()| Vec::new()).map_err(Kept::Failed),
            Ok(true) => {}
            Err(source) => return Err(Kept::Failed(member.failed(source))),
        }
        let site_failed = |error: crate::site::SiteError| Kept::Failed(error.into());
        let (site, uuid, removed_key) = (self.0.site.clone(), member.uuid.clone(), key.clone());
        let removal = blocking(move || site.begin_removal(&uuid, &removed_key)).await.map_err(site_failed)?;
        let Some(removal) = removal else { return Err(Kept::Locked) };
        let outcome = match (before, self.now().await) {
            (_, Err(error)) => Err(Kept::Failed(error)),
            (Some(before), Ok(now)) if now >= before => Err(Kept::TooLate),
            _ => self.remove_forgotten(member, key).await.map_err(Kept::Failed),
        };
        let site = self.0.site.clone();
        blocking(move || site.end_removal(&removal)).await.map_err(site_failed)?;
        outcome
    }
}
