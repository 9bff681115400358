//! What every index must do. An adapter calls [`all`] with a way to make an empty one, or [`uploads`] if it remembers no more.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use annex_protocol::keep::BlockHash;
use futures_util::future::BoxFuture;
use keep_store::base::clock::{Clock as _, ManualClock};
use keep_store::index::{Entry, Index, IndexParts, Signatures};
use keep_store::store::Block;

#[path = "index/entries.rs"]
mod entries;
#[path = "index/further.rs"]
mod further;
#[path = "index/references.rs"]
mod references;
#[path = "index/uploads.rs"]
mod uploads;

/// An index to be tried.
pub(crate) struct Tried {
    pub(crate) parts: IndexParts,
    /// The table of signatures beside it, if it has one.
    pub(crate) signatures: Option<Arc<dyn Signatures>>,
    pub(crate) clock: Arc<ManualClock>,
    /// Opens the same index once more, as another process does.
    pub(crate) again: Again,
    /// What has to live as long as the index.
    #[expect(dead_code, reason = "held")]
    pub(crate) kept: Box<dyn Any + Send>,
}

pub(crate) type Again = Box<dyn Fn() -> BoxFuture<'static, IndexParts> + Send + Sync>;

/// Tries every promise, each on an index of its own.
pub(crate) async fn all(empty: impl AsyncFn() -> Tried) {
    entries::all(&empty).await;
    references::all(&empty).await;
    uploads::all(&empty).await;
    uploads::beside_entries(&empty).await;
    further::all(&empty).await;
}

/// Tries what holds for an index that remembers unfinished uploads and no entries.
pub(crate) async fn uploads(empty: impl AsyncFn() -> Tried) {
    uploads::all(&empty).await;
}

impl Tried {
    fn index(&self) -> &dyn Index {
        &*self.parts.index
    }

    /// The deadline of what is removed; nobody waits for it.
    fn later(&self) -> SystemTime {
        self.clock.wall() + Duration::from_secs(1000)
    }
}

fn block(n: u8) -> Block {
    Block { hash: [n; 16].into(), size: u32::from(n) }
}

fn hashes(numbers: impl IntoIterator<Item = u8>) -> Vec<BlockHash> {
    numbers.into_iter().map(|n| block(n).hash).collect()
}

const OWNER: &[u8] = b"owner";

fn entry(name: &str, manifest: u8, blocks: &[u8]) -> Entry {
    let stored = UNIX_EPOCH + Duration::from_nanos(1_700_000_000_000_000_007);
    let blocks = blocks.iter().map(|n| block(*n)).collect();
    Entry { owner: OWNER.to_vec(), name: name.into(), size: 1 << 40, manifest: block(manifest), blocks, stored }
}
