//! Lists a bucket.

use std::sync::Arc;

use annex_protocol::keep::BlockHash;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};

use super::{OWN, Volume, trash};
use crate::s3::{Object, S3Error};
use crate::store::{BlockListing, BlockState, Listed, StoreError};

type Objects = BoxStream<'static, Result<(String, Object), S3Error>>;

/// Lists blocks, trash and what was set aside; see [`crate::store::Inventory::list`].
pub(super) fn list(volume: &Arc<Volume>, prefix: &str) -> BlockListing {
    let prefix = prefix.to_ascii_lowercase();
    // Digit by digit, so that what is no block is not gone through.
    let starts = match prefix.as_str() {
        "" => "0123456789abcdef".chars().map(String::from).collect(),
        _ => vec![prefix],
    };
    let volume = Arc::clone(volume);
    let each =
        move |start: String| live(&volume, &start).chain(trashed(&volume, &start)).chain(damaged(&volume, &start));
    stream::iter(starts).flat_map(each).boxed()
}

fn live(volume: &Arc<Volume>, start: &str) -> BlockListing {
    let key = volume.key(start);
    let touched = volume.bucket.list(&format!("recent/{key}"));
    let joined = Joined::new(volume, "", volume.bucket.list(&key), touched, |volume, name| {
        volume.hash(name.strip_prefix("recent/")?)
    });
    joined.listed(|hash, object, touched| {
        let time = touched.iter().map(|(_, touched)| touched.time).max().unwrap_or(object.time);
        Listed { hash, size: object.size, time, state: BlockState::Live }
    })
}

fn trashed(volume: &Arc<Volume>, start: &str) -> BlockListing {
    let copies = volume.bucket.list(&format!("trash/{}", volume.key(start)));
    let marks = volume.bucket.list(&format!("{}{start}", trash::MARKS));
    let joined = Joined::new(volume, "trash/", copies, marks, |_, name| Some(trash::mark(name)?.0));
    joined.listed(|hash, object, marks| {
        let deadline = trash::deadline(&object, marks.iter().map(|(name, _)| name.as_str()));
        Listed { hash, size: object.size, time: object.time, state: BlockState::Trashed(deadline) }
    })
}

fn damaged(volume: &Arc<Volume>, start: &str) -> BlockListing {
    const DAMAGED: &str = "damaged/";
    let found = volume.bucket.list(&format!("{OWN}{DAMAGED}{start}")).map_err(StoreError::from);
    found
        .try_filter_map(async |(name, object)| {
            let hash = name.rsplit('/').next().and_then(|name| name.split_once('.')).map(|(hash, _)| hash);
            let hash = hash.and_then(|hash| BlockHash::parse(hash.as_bytes()));
            Ok(hash.map(|hash| Listed { hash, size: object.size, time: object.time, state: BlockState::Damaged }))
        })
        .boxed()
}

/// Two listings in the order of the blocks' names, read side by side: the objects, and what else the bucket has about
/// the same blocks.
struct Joined {
    volume: Arc<Volume>,
    /// What the names in `objects` begin with before the block's own.
    before: &'static str,
    objects: Objects,
    beside: Objects,
    hash: fn(&Volume, &str) -> Option<BlockHash>,
    /// The first of `beside` that belongs to no object yet.
    next: Option<(BlockHash, (String, Object))>,
}

impl Joined {
    fn new(
        volume: &Arc<Volume>,
        before: &'static str,
        objects: Objects,
        beside: Objects,
        hash: fn(&Volume, &str) -> Option<BlockHash>,
    ) -> Self {
        Self { volume: Arc::clone(volume), before, objects, beside, hash, next: None }
    }

    fn listed(
        self,
        entry: impl Fn(BlockHash, Object, Vec<(String, Object)>) -> Listed + Clone + Send + Sync + 'static,
    ) -> BlockListing {
        let entries = stream::try_unfold(self, move |mut joined| {
            let entry = entry.clone();
            async move {
                let Some((hash, object)) = joined.object().await? else { return Ok::<_, StoreError>(None) };
                let beside = joined.beside(hash).await?;
                Ok(Some((entry(hash, object, beside), joined)))
            }
        });
        entries.boxed()
    }

    async fn object(&mut self) -> Result<Option<(BlockHash, Object)>, S3Error> {
        while let Some((name, object)) = self.objects.try_next().await? {
            if let Some(hash) = name.strip_prefix(self.before).and_then(|name| self.volume.hash(name)) {
                return Ok(Some((hash, object)));
            }
        }
        Ok(None)
    }

    /// Takes all that belongs to a block; what belongs to blocks before it has no object.
    async fn beside(&mut self, hash: BlockHash) -> Result<Vec<(String, Object)>, S3Error> {
        let mut found = Vec::new();
        loop {
            if self.next.is_none() {
                let Some((name, object)) = self.beside.try_next().await? else { return Ok(found) };
                self.next = (self.hash)(&self.volume, &name).map(|hash| (hash, (name, object)));
            }
            match self.next.take() {
                Some((of, _)) if of < hash => {}
                Some((of, object)) if of == hash => found.push(object),
                Some(later) => {
                    self.next = Some(later);
                    return Ok(found);
                }
                None => {}
            }
        }
    }
}
