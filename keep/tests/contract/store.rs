//! What every block store must do. An adapter calls [`all`] with a way to make an empty one, or [`blocks`] if it neither lists
//! blocks nor removes them.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use annex_protocol::keep::BlockHash;
use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use keep_store::base::clock::{Clock as _, ManualClock};
use keep_store::store::{Block, BlockStore, Listed, Placed, StoreError, StoreParts};

#[path = "store/blocks.rs"]
mod blocks;
#[path = "store/further.rs"]
mod further;
#[path = "store/inventory.rs"]
mod inventory;
#[path = "store/retention.rs"]
mod retention;

/// A store to be tried.
pub(crate) struct Tried {
    pub(crate) parts: StoreParts,
    /// The clock that the store goes by; `None` if it is a server's own, which counts whole seconds.
    pub(crate) clock: Option<Arc<ManualClock>>,
    /// Puts wrong bytes in the place of a block, if that can be done.
    pub(crate) damage: Option<Damage>,
    /// Whether the store tells what is new in it and what exactly is wrong. Servers do not.
    pub(crate) exact: bool,
    /// What has to live as long as the store.
    #[expect(dead_code, reason = "held")]
    pub(crate) kept: Box<dyn Any + Send>,
}

pub(crate) type Damage = Box<dyn Fn(BlockHash, &'static [u8]) -> BoxFuture<'static, ()> + Send + Sync>;

/// Returns a clock for stores; blocks that are only written may have their time from the file system, which is past by it.
pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(SystemTime::now() + Duration::from_secs(60)))
}

/// Tries every promise, each on a store of its own.
pub(crate) async fn all(empty: impl AsyncFn() -> Tried) {
    self::blocks(&empty).await;
    inventory::all(&empty).await;
    retention::all(&empty).await;
}

/// Tries what holds for stores that cannot list blocks and remove none.
pub(crate) async fn blocks(empty: impl AsyncFn() -> Tried) {
    blocks::all(&empty).await;
    further::all(&empty).await;
}

impl Tried {
    /// Makes a store to be tried, with a clock of its own.
    pub(crate) fn new(parts: StoreParts, clock: &Arc<ManualClock>, kept: impl Any + Send) -> Self {
        Self { parts, clock: Some(Arc::clone(clock)), damage: None, exact: true, kept: Box::new(kept) }
    }

    fn store(&self) -> &Arc<dyn BlockStore> {
        &self.parts.blocks
    }

    /// The time by the store's clock.
    fn now(&self) -> SystemTime {
        self.clock.as_ref().map_or_else(SystemTime::now, |clock| clock.wall())
    }

    /// Lets so much time pass that the store sees it.
    async fn pass(&self) {
        const A_MOMENT: Duration = Duration::from_millis(1100);
        match &self.clock {
            Some(clock) => clock.advance(A_MOMENT),
            None => tokio::time::sleep(A_MOMENT).await,
        }
    }

    async fn put(&self, content: &[u8]) -> Result<Placed, StoreError> {
        let mut writer = self.store().writer().await.unwrap();
        for part in content.chunks(100_000) {
            writer.write(Bytes::copy_from_slice(part)).await.unwrap();
        }
        writer.finish(block(content), Some(blake3::hash(content).into())).await
    }

    async fn read(&self, block: Block, from: u32) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(stream) = self.store().read(block, from, 0).await? else { return Ok(None) };
        Ok(Some(stream.try_collect::<Vec<Bytes>>().await?.concat()))
    }

    async fn get(&self, block: Block) -> Option<Vec<u8>> {
        self.read(block, 0).await.unwrap()
    }

    async fn list(&self, prefix: &str) -> Vec<Listed> {
        let mut listed: Vec<Listed> = self.store().list(prefix).await.unwrap().try_collect().await.unwrap();
        listed.sort_by_key(|listed| listed.hash);
        listed
    }
}

fn bytes(size: usize, seed: u8) -> Vec<u8> {
    (0..size).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3] ^ seed).collect()
}

fn block(content: &[u8]) -> Block {
    Block { hash: BlockHash::of(content), size: content.len() as u32 }
}
