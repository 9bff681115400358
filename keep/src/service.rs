//! What a keepstore does: several Keep stores as its volumes, signed locators, blocks that clients bring and fetch.
//!
//! A block that a client stored is kept for the lifetime of its signature by a lease, and after that as long as something
//! refers to it. Source: `docs/spec/keep-blocks.md` §2 and §3.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use annex_protocol::keep::{BlockHash, ClusterId, Locator, SignatureError, Signer};
use async_trait::async_trait;
use futures_util::future::join_all;
use tokio::sync::Semaphore;

use self::queue::Queue;
use crate::base::clock::SharedClock;
use crate::base::stream::MAX_BLOCK;
use crate::entries::{KeepError, KeepStore};
use crate::store::volumes::{Volume, Volumes};
use crate::store::{Block, BlockBytes, Blocks, Inventory, Stat, StoreError};

mod admin;
mod collect;
mod lazy;
mod lists;
mod queue;
mod upload;

pub use admin::Trashed;
pub use lists::{BadList, PullItem, TrashItem};
pub use upload::{BlockUpload, UploadError};

/// The blocks of several Keep stores, as one service. Cloning is cheap.
#[derive(Clone)]
pub struct KeepService(Arc<Inner>);

/// One store of a service.
#[derive(Clone)]
pub struct Mount {
    /// Its UUID, 27 characters, which stays whatever the store is called.
    pub uuid: String,
    /// What tells its place from others: two mounts of one device hold the same copies.
    pub device: String,
    /// Clients write nothing here.
    pub read_only: bool,
    /// How many copies one copy here counts for.
    pub replication: u32,
    /// Its storage classes.
    pub classes: BTreeSet<String>,
    /// Opens the store.
    pub store: Arc<dyn OpenStore>,
}

/// Opens a store when it is first asked for something, so that a disk that is away does not keep the other stores from
/// being used.
#[async_trait]
pub trait OpenStore: Send + Sync {
    /// Returns the store's name for messages.
    fn name(&self) -> String;

    /// Opens the store, or returns the one that is open.
    async fn open(&self) -> Result<KeepStore, KeepError>;
}

/// How a service works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The cluster that the service belongs to.
    pub cluster: ClusterId,
    /// Signs and verifies locators.
    pub key: Vec<u8>,
    /// How long a signature is good, and a block that was stored stays.
    pub lifetime: Duration,
    /// Bytes of blocks on their way in that may be in memory.
    pub memory: u64,
    /// Tells until when signatures are good.
    pub clock: SharedClock,
}

/// Whose entries in the stores are references of collections; an entry's name is a collection's UUID.
pub const COLLECTIONS: &[u8] = b"collections";

struct Inner {
    mounts: Vec<Mount>,
    volumes: Volumes,
    cluster: ClusterId,
    signer: Signer,
    lifetime: Duration,
    clock: SharedClock,
    /// One permit for each KiB.
    memory: Arc<Semaphore>,
    trashing: Queue<TrashItem>,
    pulling: Queue<PullItem>,
}

impl KeepService {
    /// Makes a service of its stores; none is opened yet.
    pub fn new(mounts: Vec<Mount>, settings: &Settings) -> Self {
        let volume = |mount: &Mount| Volume {
            uuid: mount.uuid.clone(),
            store: Arc::new(lazy::LazyBlocks(Arc::clone(&mount.store))),
            read_only: mount.read_only,
            replication: mount.replication,
            classes: mount.classes.clone(),
        };
        let volumes = Volumes::new(mounts.iter().map(volume).collect());
        let Settings { cluster, lifetime, .. } = *settings;
        let signer = Signer::new(&settings.key, lifetime.as_secs());
        // At least one block must fit, or nothing would ever be stored.
        let memory = (settings.memory.max(u64::from(MAX_BLOCK)) >> 10).min(Semaphore::MAX_PERMITS as u64);
        let memory = Arc::new(Semaphore::new(usize::try_from(memory).unwrap_or(Semaphore::MAX_PERMITS)));
        let (trashing, pulling) = (Queue::default(), Queue::default());
        let clock = Arc::clone(&settings.clock);
        Self(Arc::new(Inner { mounts, volumes, cluster, signer, lifetime, clock, memory, trashing, pulling }))
    }

    /// Returns the cluster that the service belongs to.
    pub fn cluster(&self) -> ClusterId {
        self.0.cluster
    }

    /// Returns how long a signature is good.
    pub fn lifetime(&self) -> Duration {
        self.0.lifetime
    }

    /// Returns the stores.
    pub fn mounts(&self) -> &[Mount] {
        &self.0.mounts
    }

    /// Returns the stores' blocks; volumes stand in the order of the mounts.
    pub fn volumes(&self) -> &Volumes {
        &self.0.volumes
    }

    /// Signs a locator for the holder of `token`, as it presents itself, for the whole lifetime of a signature, or until
    /// `before` (Unix seconds) if that is earlier.
    pub fn sign(&self, locator: &Locator, token: &[u8], before: Option<u64>) -> Locator {
        let expiry = (self.0.clock.unix_seconds() + self.0.lifetime.as_secs()).min(u64::from(u32::MAX));
        self.0.signer.sign(locator, token, before.map_or(expiry, |before| before.min(expiry)))
    }

    /// Verifies the signature on a locator as a client sent it. The empty block needs none.
    pub fn verify(&self, locator: &[u8], token: &[u8]) -> Result<(), SignatureError> {
        let empty = BlockHash::EMPTY.to_string();
        if locator.strip_prefix(empty.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"+")) {
            return Ok(());
        }
        self.0.signer.verify(locator, token, self.0.clock.unix_seconds())
    }

    /// Returns the size of a block without reading it; `None` when no store has it.
    pub async fn stat(&self, hash: BlockHash) -> Result<Option<Stat>, StoreError> {
        if hash == BlockHash::EMPTY {
            return Ok(Some(Stat { size: 0, time: UNIX_EPOCH }));
        }
        match self.0.volumes.stat(hash).await? {
            None if self.revive(hash).await? => self.0.volumes.stat(hash).await,
            found => Ok(found),
        }
    }

    /// Reads a block, verified as [`Blocks::read`] has it; a bad copy is followed by the next one if nothing was given of
    /// it. `None` when no store has it.
    pub async fn read(&self, block: Block, ahead: usize) -> Result<Option<BlockBytes>, StoreError> {
        if block == Block::EMPTY {
            return Ok(Some(Box::pin(futures_util::stream::empty())));
        }
        match self.0.volumes.read(block, 0, ahead).await? {
            None if self.revive(block.hash).await? => self.0.volumes.read(block, 0, ahead).await,
            found => Ok(found),
        }
    }

    /// Returns those of `blocks` that no store has.
    pub async fn missing(&self, blocks: &[Block]) -> Result<Vec<Block>, StoreError> {
        let mut wanted = blocks.to_vec();
        wanted.retain(|block| *block != Block::EMPTY);
        self.0.volumes.missing(&wanted).await
    }

    /// Makes a collection refer to blocks, in place of those that it referred to; returns the blocks that no store has.
    ///
    /// Each store gets an entry of the blocks that it holds. While some are missing the others are referred to all the same.
    pub async fn refer(&self, collection: &str, blocks: &[Block]) -> Result<Vec<Block>, KeepError> {
        let stores = join_all(self.0.mounts.iter().map(|mount| mount.store.open())).await;
        let (mut missing, mut failed) = (blocks.to_vec(), None);
        missing.retain(|block| *block != Block::EMPTY);
        for store in stores {
            let referred = match store {
                Ok(store) => store.refer(COLLECTIONS, collection.as_bytes(), blocks).await,
                Err(error) => Err(error),
            };
            match referred {
                Ok(absent) => {
                    let absent: BTreeSet<Block> = absent.into_iter().collect();
                    missing.retain(|block| absent.contains(block));
                }
                Err(error) => failed = Some(error),
            }
        }
        // Whether a store that cannot be asked holds what is missing elsewhere is unknown.
        match failed {
            Some(error) if !missing.is_empty() => Err(error),
            _ => Ok(missing),
        }
    }

    /// Takes the references of a collection away. Blocks that nothing else needs are garbage from then on.
    pub async fn release(&self, collection: &str) -> Result<(), KeepError> {
        let mut released = Ok(());
        for mount in &self.0.mounts {
            let removed = async { mount.store.open().await?.release(COLLECTIONS, collection.as_bytes()).await };
            if let Err(error) = removed.await {
                released = Err(error);
            }
        }
        released
    }

    /// Brings a block back that is in the trash though something refers to it.
    async fn revive(&self, hash: BlockHash) -> Result<bool, StoreError> {
        for mount in &self.0.mounts {
            // A store that is away is skipped: an earlier question about the block has failed there already.
            let Ok(store) = mount.store.open().await else { continue };
            if store.revive(hash).await.map_err(lazy::store_error(&*mount.store))? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl std::fmt::Debug for KeepService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeepService").field("cluster", &self.0.cluster).finish_non_exhaustive()
    }
}
