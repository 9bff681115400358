//! Garbage of a whole service: references of collections put right, then each store collected.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};

use super::{COLLECTIONS, KeepService, Mount};
use crate::keep::{Collected, KeepError};
use crate::store::Block;

/// What putting references right changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// How many collections there are.
    pub collections: u64,
    /// How many references of collections that are no more were taken away.
    pub released: u64,
    /// Blocks that a collection needs and no store has.
    pub missing: Vec<(String, Block)>,
}

/// A reference is left alone for this long, since its collection may be just about to be recorded.
const FRESH: Duration = Duration::from_secs(3600);

impl KeepService {
    /// Puts the references of collections right in every store: each has those that it holds blocks of, and no others.
    ///
    /// `collections` are all that there are, UUID and blocks; it must begin to be read after this is called. With an error in it
    /// no reference is taken away.
    pub async fn reconcile<E: From<KeepError>>(
        &self,
        mut collections: BoxStream<'_, Result<(String, Vec<Block>), E>>,
    ) -> Result<Reconciled, E> {
        let before = SystemTime::now().checked_sub(FRESH).unwrap_or(SystemTime::UNIX_EPOCH);
        let (mut done, mut known) = (Reconciled::default(), HashSet::new());
        while let Some((uuid, blocks)) = collections.try_next().await? {
            let missing = self.refer(&uuid, &blocks).await?;
            done.missing.extend(missing.into_iter().map(|block| (uuid.clone(), block)));
            known.insert(uuid.into_bytes());
            done.collections += 1;
        }
        for mount in &self.0.mounts {
            let store = mount.store.open().await?;
            let mut entries = store.entries(Some(COLLECTIONS));
            while let Some(entry) = entries.next().await {
                let entry = entry?;
                if entry.stored < before && !known.contains(&entry.name) {
                    done.released += u64::from(store.remove(COLLECTIONS, &entry.name).await?);
                }
            }
        }
        Ok(done)
    }

    /// Collects garbage in each store that may be written: what nothing refers to and nobody touched within the lifetime of a
    /// signature goes to the trash, what is due there is deleted. A store that fails does not stop the others.
    pub async fn collect(&self) -> Vec<(&Mount, Result<Collected, KeepError>)> {
        let mut done = Vec::new();
        for mount in self.0.mounts.iter().filter(|mount| !mount.read_only) {
            let collected = async { mount.store.open().await?.collect(self.0.lifetime).await };
            done.push((mount, collected.await));
        }
        done
    }
}
