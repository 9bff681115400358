//! What a cluster's root does: list blocks, touch them, put them in the trash and bring them back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use annex_protocol::keep::BlockHash;
use futures_util::future::join_all;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};

use super::lazy::store_error;
use super::{Inner, KeepService};
use crate::entries::Refused;
use crate::store::{BlockState, Inventory, Retention, StoreError};

/// What became of a request to put a block in the trash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trashed {
    /// No store that may be written has it.
    Absent,
    /// Something refers to it.
    Referenced,
    /// It was written or touched too lately, or not at the time that was named.
    Young,
    /// It is in the trash, on one store at least.
    Done,
}

impl KeepService {
    /// Returns the service with only one of its stores.
    pub fn only(&self, uuid: &str) -> Option<Self> {
        let at = self.0.mounts.iter().position(|mount| mount.uuid == uuid)?;
        let mount = self.0.mounts.get(at)?.clone();
        let volumes = self.0.volumes.only(at);
        let Inner { cluster, signer, lifetime, clock, memory, trashing, pulling, .. } = &*self.0;
        let (cluster, signer, lifetime, memory) = (*cluster, signer.clone(), *lifetime, memory.clone());
        let (clock, trashing, pulling) = (clock.clone(), trashing.clone(), pulling.clone());
        let inner = Inner { mounts: vec![mount], volumes, cluster, signer, lifetime, clock, memory, trashing, pulling };
        Some(Self(inner.into()))
    }

    /// Lists the blocks in place whose names begin with `prefix` as a keepstore does: locator, a space, and the time of the
    /// last write or touch in nanoseconds.
    ///
    /// A block that is on several stores is listed for each. After an error the list is not whole.
    pub fn index(&self, prefix: &str) -> BoxStream<'static, Result<String, StoreError>> {
        let (volumes, prefix) = (self.0.volumes.clone(), prefix.to_owned());
        let all = stream::iter(0..volumes.all().len()).then(move |at| {
            let (one, prefix) = (volumes.only(at), prefix.clone());
            async move { one.list(&prefix).await }
        });
        let live = all.try_flatten().try_filter(|listed| std::future::ready(listed.state == BlockState::Live));
        live.map_ok(|listed| {
            let nanos = listed.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
            format!("{}+{} {nanos}\n", listed.hash, listed.size)
        })
        .boxed()
    }

    /// Renews the time of a block wherever it may be written; false when it is nowhere there.
    pub async fn touch(&self, hash: BlockHash) -> Result<bool, StoreError> {
        self.0.volumes.touch(hash).await
    }

    /// Brings a block back from the trash wherever that holds it; false when none does.
    pub async fn untrash(&self, hash: BlockHash) -> Result<bool, StoreError> {
        self.0.volumes.untrash(hash).await
    }

    /// Puts a block in the trash of each store that may be written, unless something refers to it there, or it was written or
    /// touched within the lifetime of a signature; with `written`, unless it was last written or touched at another time.
    pub async fn trash(&self, hash: BlockHash, written: Option<SystemTime>) -> Result<Trashed, StoreError> {
        let mounts = self.0.mounts.iter().enumerate().filter(|(_, mount)| !mount.read_only);
        let outcomes = join_all(mounts.map(|(at, _)| self.trash_on(at, hash, written))).await;
        let mut best = Trashed::Absent;
        for outcome in outcomes {
            best = best.max(outcome?);
        }
        Ok(best)
    }

    async fn trash_on(&self, at: usize, hash: BlockHash, written: Option<SystemTime>) -> Result<Trashed, StoreError> {
        let (Some(mount), Some(volume)) = (self.0.mounts.get(at), self.0.volumes.all().get(at)) else {
            return Ok(Trashed::Absent);
        };
        let Some(found) = volume.store.stat(hash).await? else { return Ok(Trashed::Absent) };
        let young = self.0.clock.wall().checked_sub(self.0.lifetime).unwrap_or(UNIX_EPOCH);
        if found.time >= young || written.is_some_and(|written| written != found.time) {
            return Ok(Trashed::Young);
        }
        // Looked at again under the block's lock: nobody touches it in between.
        let since = found.time.checked_add(Duration::from_nanos(1)).unwrap_or(young);
        let trashed = async { mount.store.open().await?.trash_since(hash, since).await };
        Ok(match trashed.await.map_err(store_error(&*mount.store))? {
            Ok(()) => Trashed::Done,
            Err(Refused::Referenced) => Trashed::Referenced,
            Err(Refused::Absent) => Trashed::Young,
        })
    }
}
