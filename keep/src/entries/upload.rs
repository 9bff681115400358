//! One upload of one entry.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use annex_protocol::keep::BlockHash;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use tokio::task::JoinHandle;

use super::held::SMALL;
use super::{Entry, Inner, KeepError, Manifests, read};
use crate::base::stream::{BlockDigest, Cutter, Digest, Piece};
use crate::store::{Block, BlockWriter, Placed, StoreError};

/// An upload of an entry: bytes first, then [`Upload::commit`].
///
/// Finished blocks of a content that is larger than one block are recorded as they are finished: when the upload is
/// suspended, dropped, or the process is killed, the next [`KeepStore::write`](super::KeepStore::write) of the same entry
/// goes on behind them. Two uploads of one entry at once can both succeed.
///
/// Feed it either by [`push`](Upload::push), which cuts and hashes by itself, or by [`piece`](Upload::piece), from a
/// [`Cutter`] that several stores share. After an error, or a call that was cancelled, only suspending, restarting, aborting or
/// dropping makes sense.
pub struct Upload {
    going: Going,
    /// Neither committed, suspended nor aborted.
    open: bool,
}

/// The parts of an upload that is under way.
struct Going {
    inner: Arc<Inner>,
    owner: Vec<u8>,
    name: Vec<u8>,
    /// Blocks that an earlier upload left, still to go on from.
    kept: Vec<Block>,
    /// Blocks in place, those kept included, first to last.
    done: Vec<Block>,
    /// How many of `done` the index knows of.
    recorded: usize,
    /// Those of `done` that were not in the store before.
    new: Vec<Block>,
    /// Blocks cut, being put in place, first to last.
    placing: VecDeque<(BlockDigest, Placing)>,
    /// The present block.
    present: Present,
    /// The newest block, cut, if it is small: it is put in place when the entry is recorded.
    small: Option<(BlockDigest, Bytes)>,
    cutter: Option<Cutter>,
}

/// A block whose bytes come.
enum Present {
    Nothing,
    /// So far it may be small.
    Gathered(Vec<Bytes>, usize),
    Written(Box<dyn BlockWriter>),
}

type Placing = JoinHandle<Result<(Block, Placed), KeepError>>;

/// Blocks that may wait to be in place while the next one comes.
const PLACING: usize = 2;

impl Upload {
    pub(super) async fn begin(inner: Arc<Inner>, owner: &[u8], name: &[u8]) -> Result<Self, KeepError> {
        let mut kept = inner.index.upload(owner, name).await?;
        let missing = match kept.is_empty() {
            true => Vec::new(),
            false => match inner.missing(&kept).await {
                // It is refused to tell: a signature that has expired, a token that is another one now.
                Err(KeepError::Store(StoreError::Failed { .. })) => kept.clone(),
                missing => missing?,
            },
        };
        let sound = kept.iter().position(|block| missing.contains(block)).unwrap_or(kept.len());
        kept.truncate(sound);
        let mut going = Going::new(inner, owner.to_vec(), name.to_vec());
        going.recorded = kept.len();
        going.done.clone_from(&kept);
        going.kept = kept;
        Ok(Self { going, open: true })
    }

    /// Returns the position of the first byte that is wanted: behind what an earlier upload left.
    pub fn offset(&self) -> u64 {
        self.going.kept.iter().map(|block| u64::from(block.size)).sum()
    }

    /// Reads what an earlier upload left, [`Upload::offset`] bytes, each block verified.
    pub async fn kept(&self) -> Result<BoxStream<'static, io::Result<Bytes>>, KeepError> {
        let content = read::content(&self.going.inner, &self.going.kept, 0).await?;
        Ok(content.map_or_else(
            || {
                stream::iter([Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    "the bytes kept from the earlier upload are gone",
                ))])
                .boxed()
            },
            |content| content.stream,
        ))
    }

    /// Forgets what an earlier upload left, and what was given so far: the next byte is the first.
    pub async fn restart(&mut self) -> Result<(), KeepError> {
        let going = &mut self.going;
        let fresh = Going::new(Arc::clone(&going.inner), going.owner.clone(), going.name.clone());
        std::mem::replace(going, fresh).forget().await
    }

    /// Takes the next bytes; waits while hashing or writing cannot keep up.
    pub async fn push(&mut self, bytes: Bytes) -> Result<(), KeepError> {
        let offset = self.offset();
        let block_size = self.going.inner.options.block_size;
        let cutter = self.going.cutter.get_or_insert_with(|| Cutter::new(block_size, offset));
        for piece in cutter.push(bytes).await {
            self.piece(piece).await?;
        }
        Ok(())
    }

    /// Takes the next piece; waits while writing cannot keep up.
    ///
    /// The cutter must have been made for [`Upload::offset`].
    pub async fn piece(&mut self, piece: Piece) -> Result<(), KeepError> {
        match piece {
            Piece::Data(bytes) => self.going.data(bytes).await,
            Piece::Cut(digest) => self.going.cut(digest).await,
        }
    }

    /// Makes the entry: when this returns, it is there, whole and durable, in place of one that was there before.
    ///
    /// A content that was given by pieces must have been cut at its end. After an error it is as if the upload had been
    /// suspended.
    pub async fn commit(mut self) -> Result<Entry, KeepError> {
        self.open = false;
        let committed = self.going.commit().await;
        if committed.is_err() {
            // Blocks that no index knows of would fill a full disk for good.
            if let Err(error) = self.going.suspend().await {
                tracing::debug!(%error, "a failed upload left less than it could");
            }
        }
        committed
    }

    /// Ends here for now: what was given stays for the next upload of the entry to go on from.
    ///
    /// Of a content given by pieces, only what was cut stays. Returns how many bytes stay.
    pub async fn suspend(mut self) -> Result<u64, KeepError> {
        self.open = false;
        self.going.suspend().await
    }

    /// Gives up: nothing of the upload stays, nor of what an earlier one left.
    pub async fn abort(mut self) -> Result<(), KeepError> {
        self.open = false;
        self.going.take().forget().await
    }
}

impl Drop for Upload {
    /// Suspends, as far as that can still be done.
    fn drop(&mut self) {
        if !self.open || self.going.is_idle() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let mut going = self.going.take();
            runtime.spawn(async move {
                if let Err(error) = going.suspend().await {
                    tracing::debug!(%error, "a dropped upload left less than it could");
                }
            });
        }
    }
}

impl Going {
    fn new(inner: Arc<Inner>, owner: Vec<u8>, name: Vec<u8>) -> Self {
        let (kept, done, new, placing) = (Vec::new(), Vec::new(), Vec::new(), VecDeque::new());
        let (present, small, cutter) = (Present::Nothing, None, None);
        Self { inner, owner, name, kept, done, recorded: 0, new, placing, present, small, cutter }
    }

    /// Tells whether nothing is lost when this is dropped.
    fn is_idle(&self) -> bool {
        matches!(self.present, Present::Nothing) && self.small.is_none() && self.placing.is_empty()
    }

    fn take(&mut self) -> Self {
        let emptied = Self::new(Arc::clone(&self.inner), Vec::new(), Vec::new());
        std::mem::replace(self, emptied)
    }

    async fn data(&mut self, bytes: Bytes) -> Result<(), KeepError> {
        // As soon as it is in place: only what the index knows of survives the death of this process.
        if self.placing.front().is_some_and(|(_, placing)| placing.is_finished()) {
            self.record().await?;
        }
        self.write_small().await?;
        if matches!(self.present, Present::Nothing) {
            self.present = match self.inner.holding {
                Some(_) => Present::Gathered(Vec::new(), 0),
                None => Present::Written(self.inner.store.blocks.writer().await?),
            };
        }
        if let Present::Gathered(parts, size) = &mut self.present {
            *size += bytes.len();
            parts.push(bytes);
            if *size > SMALL {
                let mut writer = self.inner.store.blocks.writer().await?;
                for part in parts.drain(..) {
                    writer.write(part).await?;
                }
                self.present = Present::Written(writer);
            }
            return Ok(());
        }
        match &mut self.present {
            Present::Written(writer) => Ok(writer.write(bytes).await?),
            Present::Nothing | Present::Gathered(..) => Err(KeepError::Uncut),
        }
    }

    async fn cut(&mut self, digest: BlockDigest) -> Result<(), KeepError> {
        self.write_small().await?;
        match std::mem::replace(&mut self.present, Present::Nothing) {
            Present::Nothing => Err(KeepError::Uncut),
            Present::Gathered(parts, _) => {
                self.small = Some((digest, parts.concat().into()));
                Ok(())
            }
            Present::Written(writer) => self.place(digest, writer).await,
        }
    }

    /// Writes a small block as others are written: more came behind it, or the upload ends without an entry.
    async fn write_small(&mut self) -> Result<(), KeepError> {
        if let Some((digest, bytes)) = self.small.take() {
            let mut writer = self.inner.store.blocks.writer().await?;
            writer.write(bytes).await?;
            self.place(digest, writer).await?;
        }
        Ok(())
    }

    async fn place(&mut self, digest: BlockDigest, writer: Box<dyn BlockWriter>) -> Result<(), KeepError> {
        while self.placing.len() >= PLACING {
            self.settle().await?;
        }
        let known = digest.clone();
        let placing = tokio::spawn(async move {
            let digest = known.wait().await.map_err(|_| KeepError::Uncut)?;
            let block = block_of(digest);
            Ok((block, writer.finish(block, digest.blake3).await?))
        });
        self.placing.push_back((digest, placing));
        Ok(())
    }

    /// Waits for the oldest block to be in place.
    async fn settle(&mut self) -> Result<(), KeepError> {
        let Some((_, placing)) = self.placing.front_mut() else { return Ok(()) };
        let placed = placing.await;
        self.placing.pop_front();
        let lost = || StoreError::Lost { store: self.inner.store.blocks.name() };
        let (block, placed) = placed.map_err(|_| lost())??;
        self.done.push(block);
        if placed == Placed::New {
            self.new.push(block);
        }
        Ok(())
    }

    /// Waits for all blocks to be in place.
    async fn settle_all(&mut self) -> Result<(), KeepError> {
        while !self.placing.is_empty() {
            self.settle().await?;
        }
        Ok(())
    }

    /// Tells the index of the blocks that are in place.
    async fn record(&mut self) -> Result<(), KeepError> {
        while self.placing.front().is_some_and(|(_, placing)| placing.is_finished()) {
            self.settle().await?;
        }
        if self.done.len() > self.recorded {
            self.inner.index.record_upload(&self.owner, &self.name, &self.done).await?;
            self.recorded = self.done.len();
        }
        Ok(())
    }

    async fn commit(&mut self) -> Result<Entry, KeepError> {
        if let Some(cut) = self.cutter.take().and_then(|mut cutter| cutter.finish()) {
            let Piece::Cut(digest) = cut else { return Err(KeepError::Uncut) };
            self.cut(digest).await?;
        }
        if !matches!(self.present, Present::Nothing) {
            return Err(KeepError::Uncut);
        }
        if self.inner.options.manifests == Manifests::Open {
            // Only what is in place has the signatures that such a manifest passes on.
            self.write_small().await?;
            self.settle_all().await?;
        }
        let mut blocks = self.done.clone();
        for (digest, _) in &self.placing {
            blocks.push(block(digest).await?);
        }
        let before = blocks.len();
        if let Some((digest, _)) = &self.small {
            blocks.push(block(digest).await?);
        }
        let size = blocks.iter().map(|block| u64::from(block.size)).sum();
        let text = self.inner.manifest(&self.owner, &self.name, &blocks)?;
        if let Some(text) = text.as_ref().filter(|text| self.inner.holds(text)) {
            return self.commit_holding(blocks, before, size, text.clone()).await;
        }
        self.write_small().await?;
        // The manifest is written while the last blocks are being synced: it says nothing before the index does.
        let inner = Arc::clone(&self.inner);
        let manifest = async move {
            match text {
                Some(text) => put(&inner, text, size).await,
                None => Ok((Block::EMPTY, Placed::Existing)),
            }
        };
        let (settled, manifest) = tokio::join!(self.settle_all(), manifest);
        let (manifest, placed) = match (settled, manifest) {
            (Ok(()), Ok(manifest)) => manifest,
            (Err(error), Ok((manifest, Placed::New))) => {
                self.drop_new(vec![manifest]).await?;
                return Err(error);
            }
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        if placed == Placed::New {
            self.new.push(manifest);
        }
        let (owner, name) = (self.owner.clone(), self.name.clone());
        let entry = Entry { owner, name, size, manifest, blocks, stored: self.inner.now() };
        let unreferenced = self.inner.record(&entry).await?;
        self.inner.discard(unreferenced, self.inner.deadline()).await?;
        Ok(entry)
    }

    /// Makes the entry, of which only `before` blocks are in place or on their way, with its manifest in `text`.
    async fn commit_holding(
        &mut self,
        blocks: Vec<Block>,
        before: usize,
        size: u64,
        text: Bytes,
    ) -> Result<Entry, KeepError> {
        self.settle_all().await?;
        let manifest = Block { hash: BlockHash::of(&text), size: text.len() as u32 };
        let mut small: Vec<_> = blocks.iter().skip(before).copied().zip(self.small.take().map(|(_, b)| b)).collect();
        small.push((manifest, text));
        let (owner, name) = (self.owner.clone(), self.name.clone());
        let entry = Entry { owner, name, size, manifest, blocks, stored: self.inner.now() };
        let inner = Arc::clone(&self.inner);
        let record = async move {
            let earlier = entry.blocks.get(..before).unwrap_or_default();
            let unreferenced = inner.record_with(&entry, small, earlier).await?;
            inner.discard(unreferenced, inner.deadline()).await?;
            Ok(entry)
        };
        self.inner.together(record).await
    }

    async fn suspend(&mut self) -> Result<u64, KeepError> {
        if let Some(Piece::Cut(digest)) = self.cutter.take().and_then(|mut cutter| cutter.finish()) {
            self.cut(digest).await?;
        }
        self.present = Present::Nothing;
        let mut failed = self.write_small().await.err();
        while !self.placing.is_empty() && failed.is_none() {
            failed = self.settle().await.err();
        }
        self.record().await?;
        match failed {
            Some(error) => Err(error),
            None => Ok(self.done.iter().map(|block| u64::from(block.size)).sum()),
        }
    }

    /// Takes everything back that this upload, or what it went on from, put in the store.
    async fn forget(mut self) -> Result<(), KeepError> {
        (self.present, self.small, self.cutter) = (Present::Nothing, None, None);
        while !self.placing.is_empty() {
            // A block that could not be put in place needs no taking back.
            let _failed = self.settle().await;
        }
        if self.recorded > 0 {
            let deadline = self.inner.deadline();
            let mut unreferenced = self.inner.index.forget_upload(&self.owner, &self.name, deadline).await?;
            unreferenced.retain(|block| !self.new.contains(block));
            self.inner.discard(unreferenced, deadline).await?;
        }
        let new = std::mem::take(&mut self.new);
        self.drop_new(new).await
    }

    /// Deletes blocks at once that this upload brought, except those that somebody refers to by now.
    async fn drop_new(&self, new: Vec<Block>) -> Result<(), KeepError> {
        let hashes: Vec<_> = new.iter().map(|block| block.hash).collect();
        let referenced = self.inner.index.referenced(&hashes).await?;
        let unreferenced = new.into_iter().filter(|block| !referenced.contains(&block.hash)).collect();
        self.inner.discard(unreferenced, self.inner.now()).await
    }
}

/// Writes a block that is at hand as a whole.
pub(super) async fn put(inner: &Inner, bytes: Bytes, content_size: u64) -> Result<(Block, Placed), KeepError> {
    let mut cutter = Cutter::new(crate::base::stream::MAX_BLOCK, 0);
    let mut writer = inner.store.blocks.writer().await?;
    let mut pieces = cutter.push(bytes).await;
    pieces.extend(cutter.finish());
    let mut pieces = pieces.into_iter();
    match (pieces.next(), pieces.next(), pieces.next()) {
        (Some(Piece::Data(bytes)), Some(Piece::Cut(digest)), None) => {
            writer.write(bytes).await?;
            let block = block(&digest).await?;
            Ok((block, writer.finish(block, None).await?))
        }
        _ => Err(KeepError::TooLarge(content_size)),
    }
}

async fn block(digest: &BlockDigest) -> Result<Block, KeepError> {
    Ok(block_of(digest.wait().await.map_err(|_| KeepError::Uncut)?))
}

fn block_of(digest: Digest) -> Block {
    Block { hash: digest.md5.into(), size: digest.len }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload")
            .field("offset", &self.offset())
            .field("done", &self.going.done.len())
            .finish_non_exhaustive()
    }
}
