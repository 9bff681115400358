//! One look at index and blocks together, where both are on this machine: each change of thread costs as much as the look.

use bytes::Bytes;

use super::{Entry, Inner};
use crate::store::Block;

/// What one look found.
pub(super) enum Look {
    /// The entry, with all its blocks in place, and its verified bytes if they were asked for and are few.
    Whole(Entry, Option<Vec<Bytes>>),
    /// The store is there, and has no such entry.
    Absent,
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    Presence,
    Content,
}

/// Bytes that are read by the look.
const SMALL_CONTENT: u64 = 64 << 10;

/// Looks once; `None` where that is not possible, or more has to be done: blocks brought back, an error told.
pub(super) async fn look(inner: &Inner, owner: &[u8], name: &[u8], wanted: For) -> Option<Look> {
    let (index, blocks) = inner.here.clone()?;
    let (owner, name) = (owner.to_vec(), name.to_vec());
    let looking = move || {
        match index.look_up(&owner, &name).ok()? {
            Some(entry) => match entry.blocks.as_slice() {
                [block] if wanted == For::Content && entry.size <= SMALL_CONTENT => {
                    let bytes = blocks.fetch(*block).ok()??;
                    Some(Look::Whole(entry, Some(bytes)))
                }
                all => blocks.lacking(all).ok()?.is_empty().then_some(Look::Whole(entry, None)),
            },
            // An open index can still be read after its disk was unmounted, so the store is asked, too.
            None => blocks.lacking(&[Block::EMPTY]).is_ok().then_some(Look::Absent),
        }
    };
    tokio::task::spawn_blocking(looking).await.ok()?
}
