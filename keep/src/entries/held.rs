//! Small blocks: durable with the record of their entry, and in the store by a sync that many share.
//!
//! A small content would wait for the disk several times: for its block, for its manifest, for the folders of both, for
//! the index. So the bytes of small blocks go into the index with the record of the entry, in one transaction: once that
//! is durable, so are they. Then the blocks are put in place, unsynced, and the upload is done. Half a second later, or
//! when the store is closed, one sync makes all of them durable in their places, and the index forgets their bytes.
//!
//! When the machine dies in between, a block may be missing or torn, and its bytes are in the index. When the
//! process dies, the block may not have been put in place at all. Whoever opens the store next, or misses the block
//! before, puts it in place from the index. What nobody refers to any more by then stays away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, SystemTime};

use annex_protocol::keep::BlockHash;
use bytes::Bytes;

use super::{Entry, Inner, KeepError, Manifests};
use crate::index::{Held, Holding, Number};
use crate::store::{Block, StoreError, StoreParts};

/// Blocks up to this size are held: what the index writes twice for them costs less than waiting for the disk.
pub(super) const SMALL: usize = 128 << 10;

/// How long blocks gather until they are synced together.
const GATHER: Duration = Duration::from_millis(500);

/// How long the end of a store waits for its last sync; what is not done then is done when it is opened again.
const LAST_SYNC_WITHIN: Duration = Duration::from_secs(5);

/// From this age on, held bytes are those of a process that died.
const ORPHANED_AFTER: Duration = Duration::from_secs(10);

/// Blocks put in place together when a store is opened.
const BLOCKS_AT_ONCE: usize = 256;

/// Syncs the store behind uploads, on a thread of its own: it must outlive the runtime of the last upload.
#[derive(Default)]
pub(super) struct Settler {
    /// Blocks that this process put in place and that are not synced yet.
    placed: Arc<Mutex<HashMap<Number, Block>>>,
    thread: Mutex<Option<Thread>>,
}

struct Thread {
    /// Tells that something was placed; closed, that nothing more will be.
    wake: mpsc::Sender<()>,
    ended: mpsc::Receiver<()>,
}

impl Inner {
    /// Tells whether the manifest `text` goes into the index with the record of its entry.
    pub(super) fn holds(&self, text: &[u8]) -> bool {
        text.len() <= SMALL && self.options.manifests == Manifests::Sealed && self.holding.is_some()
    }

    /// Records an entry whose blocks are `in_place` but for `small`, as [`Inner::record`] does one with all in place.
    pub(super) async fn record_with(
        &self,
        entry: &Entry,
        small: Vec<(Block, Bytes)>,
        in_place: &[Block],
    ) -> Result<Vec<Block>, KeepError> {
        let holding = self.holding.as_ref().ok_or(KeepError::Uncut)?;
        let deadline = self.deadline();
        let unreferenced = self.record_holding(holding, entry, small, deadline).await?;
        // As in `record`; the small ones came to their places after they were recorded.
        if let Some(block) = self.missing(in_place).await?.first() {
            self.index.remove(&entry.owner, &entry.name, deadline).await?;
            return Err(StoreError::Gone { store: self.store.blocks.name(), block: *block }.into());
        }
        Ok(unreferenced)
    }

    /// Records an entry whose blocks are in place but for `small`, those at its end and the manifest, and puts these in
    /// place. Durable when this returns. Returns the blocks that nothing refers to any more.
    async fn record_holding(
        &self,
        holding: &Arc<dyn Holding>,
        entry: &Entry,
        small: Vec<(Block, Bytes)>,
        deadline: SystemTime,
    ) -> Result<Vec<Block>, KeepError> {
        let (unreferenced, numbers) = holding.put_holding(entry.clone(), small.clone(), deadline).await?;
        let blocks: Vec<Block> = small.iter().map(|(block, _)| *block).collect();
        if let Err(error) = self.store.place(small).await {
            let taken_back = self.index.remove(&entry.owner, &entry.name, deadline).await?;
            self.discard(taken_back.unwrap_or_default(), deadline).await?;
            holding.release(numbers).await?;
            return Err(error.into());
        }
        self.settler.placed(&self.store, holding, numbers.into_iter().zip(blocks))?;
        Ok(unreferenced)
    }

    /// Puts blocks in place that a process which died has left in the index; returns whether there was one.
    ///
    /// What this process itself had put in place is really gone.
    pub(super) async fn place_left(&self, missing: &[Block]) -> Result<bool, KeepError> {
        let Some(holding) = &self.holding else { return Ok(false) };
        let mut found = Vec::new();
        for block in missing.iter().filter(|block| !self.settler.has_placed(**block)) {
            found.extend(holding.held_block(*block).await?.map(|bytes| (*block, bytes)));
        }
        let any = !found.is_empty();
        self.store.place(found).await?;
        Ok(any)
    }

    /// Makes durable in the store what processes that died have left in the index.
    pub(super) async fn settle_left(&self) -> Result<(), KeepError> {
        let Some(holding) = &self.holding else { return Ok(()) };
        loop {
            let now = self.now();
            let left = holding.held(now.checked_sub(ORPHANED_AFTER).unwrap_or(now), BLOCKS_AT_ONCE).await?;
            if left.is_empty() {
                return Ok(());
            }
            let numbers = left.iter().map(|held| held.number).collect();
            let hashes: Vec<BlockHash> = left.iter().map(|held| held.block.hash).collect();
            let needed = self.index.referenced(&hashes).await?;
            let needed: Vec<Held> = left.into_iter().filter(|held| needed.contains(&held.block.hash)).collect();
            self.store.place(needed.iter().map(|held| (held.block, held.bytes.clone())).collect()).await?;
            self.store.sync().await?;
            // As in every removal: who took the last reference away meanwhile may have looked for the block too early.
            self.discard(needed.iter().map(|held| held.block).collect(), self.deadline()).await?;
            holding.release(numbers).await?;
        }
    }
}

impl Settler {
    /// Sees to it that blocks that were put in place are synced soon, and then released.
    fn placed(
        &self,
        store: &StoreParts,
        holding: &Arc<dyn Holding>,
        placed: impl Iterator<Item = (Number, Block)>,
    ) -> Result<(), StoreError> {
        lock(&self.placed).extend(placed);
        let mut thread = lock(&self.thread);
        let thread = match &mut *thread {
            Some(thread) => thread,
            none => none.insert(Thread::start(store, holding, &self.placed).map_err(|source| StoreError::Io {
                store: store.blocks.name(),
                operation: "start a thread for",
                path: store.blocks.name().into(),
                source,
            })?),
        };
        thread.wake.send(()).map_err(|_| StoreError::Lost { store: store.blocks.name() })
    }

    fn has_placed(&self, block: Block) -> bool {
        lock(&self.placed).values().any(|placed| *placed == block)
    }
}

impl Thread {
    fn start(
        store: &StoreParts,
        holding: &Arc<dyn Holding>,
        placed: &Arc<Mutex<HashMap<Number, Block>>>,
    ) -> std::io::Result<Self> {
        let (wake, woken) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let (store, holding, placed) = (store.clone(), Arc::clone(holding), Arc::clone(placed));
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        std::thread::Builder::new().name("settle".into()).spawn(move || {
            while woken.recv().is_ok() {
                // Ends early when the store is closed.
                let closed = gather(&woken);
                if let Err(error) = runtime.block_on(settle(&store, &*holding, &placed)) {
                    // Nothing is lost: the index has the bytes on, and they are looked after when the store is opened.
                    tracing::error!(store = store.blocks.name(), %error, "blocks could not be made durable in their places");
                }
                if closed {
                    break;
                }
            }
            let _nobody_waits = end.send(());
        })?;
        Ok(Self { wake, ended })
    }
}

/// Waits while more is placed; true when the store is closed.
fn gather(woken: &mpsc::Receiver<()>) -> bool {
    let until = std::time::Instant::now() + GATHER;
    loop {
        match woken.recv_timeout(until.saturating_duration_since(std::time::Instant::now())) {
            Ok(()) => {}
            Err(mpsc::RecvTimeoutError::Timeout) => return false,
            Err(mpsc::RecvTimeoutError::Disconnected) => return true,
        }
    }
}

async fn settle(
    store: &StoreParts,
    holding: &dyn Holding,
    placed: &Mutex<HashMap<Number, Block>>,
) -> Result<(), KeepError> {
    // Those that come while the store is being synced are synced next time.
    let numbers: Vec<Number> = lock(placed).keys().copied().collect();
    if numbers.is_empty() {
        return Ok(());
    }
    store.sync().await?;
    holding.release(numbers.clone()).await?;
    let mut placed = lock(placed);
    for number in numbers {
        placed.remove(&number);
    }
    Ok(())
}

impl Drop for Settler {
    fn drop(&mut self) {
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Thread { wake, ended }) = thread {
            drop(wake);
            let _done_when_opened_again = ended.recv_timeout(LAST_SYNC_WITHIN);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
