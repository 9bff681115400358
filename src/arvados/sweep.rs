//! What the daemon clears: collections whose time is over, and blocks kept for collections that never came to be.

use std::time::{Duration, SystemTime};

use annex_gateway::database::DatabaseError;
use futures_util::{StreamExt, TryStreamExt, stream};
use keep_store::entries::KeepStore;
use keep_store::service::COLLECTIONS;
use keep_store::store::Block;

use super::content::{block, blocks_of};
use super::{Api, ApiError};
use crate::arvados::catalogue::{Collection, Record};

/// Collections that are removed in one go.
const BATCH: i64 = 100;

/// References younger than this may belong to a collection that is being made.
const YOUNG: Duration = Duration::from_secs(24 * 3600);

impl Api {
    /// Removes collections whose time to be deleted has come, and lets their blocks go; returns how many.
    pub async fn remove_expired(&self) -> Result<u64, ApiError> {
        let mut removed = 0;
        loop {
            let expired = self.catalogue.expired(self.now(), BATCH).await?;
            let last = expired.len() < usize::try_from(BATCH).unwrap_or_default();
            for collection in expired {
                let Collection { base, reference, .. } = &collection;
                match self.catalogue.remove::<Collection>(&base.uuid, collection.base().modified_at).await {
                    Ok(()) => removed += 1,
                    // Somebody brought it back just now.
                    Err(DatabaseError::Stale) => continue,
                    Err(error) => return Err(error.into()),
                }
                self.release(reference).await;
            }
            if last {
                return Ok(removed);
            }
        }
    }

    /// Lets blocks go that were kept for a collection that is not there, as a process that died left them; returns for how
    /// many.
    ///
    /// No block is let go while the catalogue is empty: it may be the wrong database.
    pub async fn release_orphans(&self) -> Result<u64, ApiError> {
        if self.catalogue.is_empty().await? {
            return Ok(0);
        }
        let mut released = 0;
        for mount in self.keep.service().mounts() {
            // A store that is away is looked through another time.
            let Ok(store) = mount.store.open().await else { continue };
            released += self.release_orphans_in(&store).await?;
        }
        Ok(released)
    }

    /// Sees to it that each store keeps those blocks of collections that it holds, whoever brought them there; returns the
    /// blocks that no store has, with the collection that needs them.
    pub async fn reconcile(&self) -> Result<Vec<(String, Block)>, ApiError> {
        let catalogue = &self.catalogue;
        let pages = stream::try_unfold(String::new(), async |last| {
            let page = catalogue.after(&last, BATCH).await?;
            let next = page.last().map(|collection| collection.base.uuid.clone());
            let needed = |collection: Collection| {
                let blocks = blocks_of(&collection).iter().map(block).collect::<Result<Vec<_>, _>>()?;
                Ok((collection.reference, blocks))
            };
            Ok::<_, ApiError>(next.map(|next| (stream::iter(page.into_iter().map(needed)), next)))
        });
        self.keep.service().reconcile(pages.try_flatten().boxed()).await
    }

    async fn release_orphans_in(&self, store: &KeepStore) -> Result<u64, ApiError> {
        let young = self.site.clock().wall().checked_sub(YOUNG).unwrap_or(SystemTime::UNIX_EPOCH);
        let mut entries = store.entries(Some(COLLECTIONS));
        let mut released = 0;
        while let Some(entry) = entries.try_next().await? {
            let name = String::from_utf8_lossy(&entry.name);
            if entry.stored < young && !self.catalogue.refers(&name).await? {
                store.remove(COLLECTIONS, &entry.name).await?;
                released += 1;
            }
        }
        Ok(released)
    }
}
