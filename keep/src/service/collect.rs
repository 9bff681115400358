//! Garbage of a whole service: references of collections put right, then each store collected.

use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;

use super::{KeepService, Mount};
use crate::entries::{Collected, KeepError};
use crate::store::Block;

impl KeepService {
    /// Puts the references of collections right: each store has those that it holds blocks of, whoever brought them there.
    ///
    /// `collections` are names, as [`KeepService::refer`] takes them, and blocks. Returns blocks that no store has.
    pub async fn reconcile<E: From<KeepError>>(
        &self,
        mut collections: BoxStream<'_, Result<(String, Vec<Block>), E>>,
    ) -> Result<Vec<(String, Block)>, E> {
        let mut missing = Vec::new();
        while let Some((name, blocks)) = collections.try_next().await? {
            let absent = self.refer(&name, &blocks).await?;
            missing.extend(absent.into_iter().map(|block| (name.clone(), block)));
        }
        Ok(missing)
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
