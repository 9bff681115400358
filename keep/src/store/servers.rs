//! Blocks on Keep servers, over HTTP: keepstores, keepproxies, and whatever speaks like them.
//!
//! A client as Arvados's own ones are (`docs/spec/keep-blocks.md` §5 and §6): it asks the services in rendezvous order,
//! makes as many copies as are wanted, repeats what may pass, and checks every block that it reads. The permission
//! signatures that servers give are kept, and renewed by whoever can ([`Renew`]).
//!
//! A client never removes blocks: it cannot know who else refers to them. The cluster's own collection of garbage does
//! that. A block lives as long as its signature, and then while a collection refers to it.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use annex_protocol::keep::{BlockHash, Locator};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::Semaphore;

use super::{
    Block, BlockBytes, BlockListing, BlockWriter, Blocks, Condemned, Inventory, Placed, Retention, SignedLocators,
    Space, Stat, StoreError, StoreParts,
};
use crate::base::clock::{SharedClock, SystemClock};

mod api;
mod cache;
mod http;
mod proven;
mod read;
mod retry;
mod services;
mod signed;
mod write;

pub use api::{Api, ApiError};
pub use http::{Access, Http, Token};
pub use services::{Service, ServiceKind, Services};

use cache::Cache;
use proven::Proven;
use retry::Failures;
use signed::Signed;

/// How blocks are read from and written to servers.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Copies that a block must have before it counts as stored; `None`: what the cluster says, or 2, and never more than
    /// there are given services.
    pub replicas: Option<u32>,
    /// The storage classes that must each have so many copies; none: the cluster's own default.
    pub classes: Vec<String>,
    /// How often a failed request is repeated. Default: 3.
    pub retries: u32,
    /// How long to wait before the first repetition; it doubles, up to ten times this. Default: one second.
    pub pause: Duration,
    /// How long servers are waited for.
    pub waits: Waits,
    /// For how long a block that servers have just stored counts as there without asking. They keep it for hours at least;
    /// a server that is lost meanwhile goes unnoticed. Default: ten minutes, the most there is.
    pub trusted: Duration,
    /// Blocks that all writers together may hold in memory. Default: 8.
    pub writing: usize,
    /// Bytes of blocks that are kept since they were read. Default: 128 MiB.
    pub cache: usize,
    /// Tells which signatures have expired. Default: this machine's clock.
    pub clock: SharedClock,
}

/// How long servers are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// For an API server's answer, all tries taken together: it can be a list of a million blocks. Default: five minutes.
    pub look: Duration,
    /// The same where something is changed. Default: five minutes.
    pub change: Duration,
    /// For a service's answer about a block, and for more of its bytes. Default: a minute.
    pub block: Duration,
    /// Until a service has stored a block, besides the time of a slow line. Default: 256 seconds, as with Arvados's clients.
    pub store: Duration,
}

/// Blocks on Keep servers; cloning shares it.
#[derive(Debug, Clone)]
pub struct ServerStore(Arc<Inner>);

/// Somebody who can have a block signed anew: a collection that refers to it, read again.
#[async_trait]
pub trait Renew: Send + Sync {
    /// Returns the locator with a signature that is good from now on; `None` when nothing readable refers to the block.
    async fn renew(&self, block: Block) -> Result<Option<Locator>, ApiError>;
}

struct Inner {
    http: Http,
    services: Services,
    options: ServerOptions,
    signed: Signed,
    /// Services that give back what they do not sign.
    proven: Proven,
    renew: Mutex<Vec<Weak<dyn Renew>>>,
    cache: Mutex<Cache>,
    writing: Arc<Semaphore>,
}

/// Blocks that are asked after at once.
const ASKED_TOGETHER: usize = 8;

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            replicas: None,
            classes: Vec::new(),
            retries: 3,
            pause: Duration::from_secs(1),
            waits: Waits::default(),
            trusted: Duration::from_secs(600),
            writing: 8,
            cache: 128 << 20,
            clock: SystemClock::shared(),
        }
    }
}

impl Default for Waits {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self { look: minute * 5, change: minute * 5, block: minute, store: Duration::from_secs(256) }
    }
}

impl ServerStore {
    /// Makes a store of these services; nothing is connected yet.
    pub fn new(http: Http, services: Services, options: ServerOptions) -> Self {
        let (cache, writing) =
            (Mutex::new(Cache::new(options.cache)), Arc::new(Semaphore::new(options.writing.max(1))));
        let (signed, renew) = (Signed::new(Arc::clone(&options.clock)), Mutex::default());
        let proven = Proven::default();
        Self(Arc::new(Inner { http, services, options, signed, proven, renew, cache, writing }))
    }

    /// Adds a renewer of signatures, which is asked for as long as it lives.
    pub fn renew_by(&self, renew: &Arc<dyn Renew>) {
        let mut known = self.0.renew.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|renew| renew.strong_count() > 0);
        known.push(Arc::downgrade(renew));
    }

    /// Fails unless a service answers and takes the token.
    pub async fn reach(&self) -> Result<(), StoreError> {
        self.0.reach().await
    }

    /// Returns the copies that a block must have to count as stored.
    pub async fn replicas(&self) -> Result<u32, StoreError> {
        self.0.replicas().await
    }

    /// Returns the clock by which signatures expire.
    pub(crate) fn clock(&self) -> &SharedClock {
        &self.0.options.clock
    }

    fn not_ours(&self, what: &str) -> StoreError {
        self.0.failed(format!("its blocks are not ours to {what}"))
    }
}

#[async_trait]
impl Blocks for ServerStore {
    fn name(&self) -> String {
        self.0.services.name()
    }

    async fn writer(&self) -> Result<Box<dyn BlockWriter>, StoreError> {
        Ok(Box::new(Writer { store: Arc::clone(&self.0), parts: Vec::new(), size: 0, room: None }))
    }

    async fn read(&self, block: Block, from: u32, _ahead: usize) -> Result<Option<BlockBytes>, StoreError> {
        let Some(parts) = self.0.fetch(block).await? else { return Ok(None) };
        let mut skip = from as usize;
        let parts = parts.into_iter().filter_map(move |mut part| {
            let passed = skip.min(part.len());
            skip -= passed;
            let part = part.split_off(passed);
            (!part.is_empty()).then_some(Ok(part))
        });
        Ok(Some(stream::iter(parts).boxed()))
    }

    async fn peek(&self, hash: BlockHash, size: usize) -> Result<Option<Bytes>, StoreError> {
        // Servers give whole blocks, and the size is in the signed locator if we have one.
        let Some(locator) = self.0.signed.get(hash) else { return Ok(None) };
        let Ok(block) = Block::try_from(&locator) else { return Ok(None) };
        let parts = self.0.fetch(block).await?;
        Ok(parts.map(|parts| {
            let start = parts.into_iter().next().unwrap_or_default();
            start.slice(..size.min(start.len()))
        }))
    }

    async fn missing(&self, blocks: &[Block]) -> Result<Vec<Block>, StoreError> {
        let asked = stream::iter(blocks.iter().copied())
            .map(|block| async move { Ok::<_, StoreError>((block, self.0.present(block).await?)) })
            .buffered(ASKED_TOGETHER);
        asked.try_filter_map(async |(block, present)| Ok((!present).then_some(block))).try_collect().await
    }
}

#[async_trait]
impl Inventory for ServerStore {
    /// Servers tell the size with the block alone, and no times.
    async fn stat(&self, _hash: BlockHash) -> Result<Option<Stat>, StoreError> {
        Err(self.not_ours("list"))
    }

    async fn list(&self, _prefix: &str) -> Result<BlockListing, StoreError> {
        Err(self.not_ours("list"))
    }

    /// Servers do not tell their room, so it counts as endless.
    async fn space(&self) -> Result<Space, StoreError> {
        Ok(Space { total: u64::MAX, free: u64::MAX })
    }
}

#[async_trait]
impl Retention for ServerStore {
    async fn touch(&self, _hash: BlockHash) -> Result<bool, StoreError> {
        Err(self.not_ours("touch"))
    }

    /// Does nothing: others may refer to the block.
    async fn trash(
        &self,
        _hash: BlockHash,
        _deadline: SystemTime,
        _unless_since: Option<SystemTime>,
    ) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn untrash(&self, _hash: BlockHash) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn condemn(&self, _hash: BlockHash, _due: SystemTime) -> Result<Vec<Condemned>, StoreError> {
        Ok(Vec::new())
    }

    async fn delete(&self, _copy: Condemned) -> Result<bool, StoreError> {
        Ok(false)
    }
}

impl SignedLocators for ServerStore {
    fn locator(&self, block: Block) -> Locator {
        self.0.signed.get(block.hash).unwrap_or_else(|| block.locator())
    }

    fn learn(&self, locator: &Locator) {
        self.0.signed.put(locator);
    }
}

impl From<ServerStore> for StoreParts {
    fn from(store: ServerStore) -> Self {
        let signed = Arc::new(store.clone());
        Self { signed: Some(signed), ..Self::plain(store) }
    }
}

/// Gathers a block, since its name is known only at its end.
struct Writer {
    store: Arc<Inner>,
    parts: Vec<Bytes>,
    size: usize,
    room: Option<tokio::sync::OwnedSemaphorePermit>,
}

#[async_trait]
impl BlockWriter for Writer {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        if self.room.is_none() {
            // The semaphore is never closed.
            self.room = Arc::clone(&self.store.writing).acquire_owned().await.ok();
        }
        self.size += bytes.len();
        self.parts.push(bytes);
        Ok(())
    }

    async fn finish(mut self: Box<Self>, block: Block, _blake3: Option<[u8; 32]>) -> Result<Placed, StoreError> {
        if self.size != block.size as usize {
            let (store, reason) = (self.store.services.name(), format!("{} bytes came for block {block}", self.size));
            return Err(StoreError::Failed { store, reason });
        }
        let parts = std::mem::take(&mut self.parts);
        self.store.put(block, parts).await?;
        // Servers do not say whether others had the block before, so it must not be taken back.
        Ok(Placed::Existing)
    }
}

impl Inner {
    async fn replicas(&self) -> Result<u32, StoreError> {
        match self.options.replicas {
            Some(replicas) => Ok(replicas.max(1)),
            None => Ok(self.services.replicas().await.map_err(|error| self.not_asked(error))?.max(1)),
        }
    }

    async fn services(&self) -> Result<Arc<[Service]>, StoreError> {
        self.services.list().await.map_err(|error| self.not_asked(error))
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, reason: String) -> StoreError {
        StoreError::Failed { store: self.services.name(), reason }
    }

    fn failures(&self, operation: &str, block: Block, failures: &Failures) -> StoreError {
        self.unfinished(format!("{operation} block {block}: {failures}"), failures)
    }

    /// Returns the error for these failures. If one of them may pass by itself, the store only counts as unreachable.
    fn unfinished(&self, reason: String, failures: &Failures) -> StoreError {
        match failures.any_may_pass() {
            true => StoreError::Away { store: self.services.name(), reason },
            false => self.failed(reason),
        }
    }

    /// Returns the error of an API server as an error of the store.
    fn not_asked(&self, error: ApiError) -> StoreError {
        match error {
            ApiError::Away { reason, .. } => StoreError::Away { store: self.services.name(), reason },
            other => self.failed(other.to_string()),
        }
    }

    fn renewers(&self) -> Vec<Arc<dyn Renew>> {
        let known = self.renew.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter_map(Weak::upgrade).collect()
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ServerStore").field(&self.services.name()).finish()
    }
}

#[cfg(test)]
mod tests;
