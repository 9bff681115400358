//! Reads a block from a directory volume, verified.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::sync::Arc;

use annex_protocol::keep::BlockHash;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

use super::noted;
use super::place::hash;
use super::volume::Volume;
use crate::base::stream::LARGE_BLOCK;
use crate::store::{Block, BlockBytes, StoreError, Verifier};

/// Bytes in one piece of a stream.
const CHUNK: usize = 256 << 10;

/// Pieces read by one visit to a blocking thread.
const BATCH: usize = 4;

/// Reads `block` from `from` on; see [`crate::store::BlockStore::read`].
pub(super) async fn read(
    volume: Arc<Volume>,
    block: Block,
    from: u32,
    ahead: usize,
) -> Result<Option<BlockBytes>, StoreError> {
    let lost = Arc::clone(&volume);
    let first = tokio::task::spawn_blocking(move || {
        let Some(mut reading) = Reading::open(volume, block, from)? else { return Ok::<_, StoreError>(None) };
        let batch = reading.batch(1)?;
        Ok(Some((reading, batch)))
    });
    let Some((reading, batch)) = first.await.map_err(|_| lost.lost())?? else { return Ok(None) };
    if reading.ended() {
        return Ok(Some(stream::iter(batch.into_iter().map(Ok)).boxed()));
    }
    let (send, receive) = mpsc::channel((ahead / CHUNK).max(BATCH));
    tokio::spawn(supply(reading, batch, send));
    let rest = stream::unfold(receive, async |mut receive| Some((receive.recv().await?, receive)));
    Ok(Some(rest.boxed()))
}

/// Reads all of `block`; see [`crate::store::BlocksHere::fetch`].
pub(super) fn fetch(volume: &Arc<Volume>, block: Block) -> Result<Option<Vec<Bytes>>, StoreError> {
    let reading = Reading::open(Arc::clone(volume), block, 0)?;
    reading.map(|mut reading| reading.batch(usize::MAX)).transpose()
}

/// Reads the first bytes of a block; see [`crate::store::BlockStore::peek`].
pub(super) fn peek(volume: &Volume, hash: BlockHash, size: usize) -> Result<Option<Bytes>, StoreError> {
    let path = volume.block(hash);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return volume.still_there().map(|()| None),
        Err(error) => return Err(volume.fail("open", &path, error)),
    };
    let mut bytes = Vec::with_capacity(size.min(CHUNK));
    file.take(size as u64).read_to_end(&mut bytes).map_err(|e| volume.fail("read", &path, e))?;
    Ok(Some(bytes.into()))
}

/// Sends what is read until the end, an error, or nobody listens.
async fn supply(mut reading: Reading, mut batch: Vec<Bytes>, send: mpsc::Sender<Result<Bytes, StoreError>>) {
    loop {
        for bytes in batch {
            if send.send(Ok(bytes)).await.is_err() {
                return;
            }
        }
        if reading.ended() {
            return;
        }
        let volume = Arc::clone(&reading.volume);
        let more = tokio::task::spawn_blocking(move || {
            let batch = reading.batch(BATCH);
            (reading, batch)
        });
        match more.await {
            Ok((back, Ok(more))) => (reading, batch) = (back, more),
            Ok((_, Err(error))) => return drop(send.send(Err(error)).await),
            Err(_) => return drop(send.send(Err(volume.lost())).await),
        }
    }
}

struct Reading {
    volume: Arc<Volume>,
    block: Block,
    file: File,
    /// `None` when the end was reached, or an error.
    verifier: Option<Verifier>,
    unread: usize,
    /// Bytes still to be held back since the reader did not ask for them.
    skip: usize,
}

impl Reading {
    fn open(volume: Arc<Volume>, block: Block, from: u32) -> Result<Option<Self>, StoreError> {
        let path = volume.block(block.hash);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                volume.still_there()?;
                return Ok(None);
            }
            Err(error) => return Err(volume.fail("open", &path, error)),
        };
        let size = file.metadata().map_err(|e| volume.fail("look at", &path, e))?.len();
        // The size is the caller's claim: a block is not damaged because somebody asked for it wrongly.
        let claim = size == u64::from(block.size);
        if !claim && hash(&mut file).map_err(|e| volume.fail("read", &path, e))? == block.hash {
            return Err(StoreError::Size { block, size });
        }
        let known = if block.size > LARGE_BLOCK { noted::noted(&file) } else { None };
        let verifier = Some(known.map_or_else(|| Verifier::new(block), |blake3| Verifier::by_blake3(block, blake3)));
        let skip = from.min(block.size) as usize;
        let reading = Self { volume, block, file, verifier, unread: block.size as usize, skip };
        if claim { Ok(Some(reading)) } else { Err(reading.damaged(format!("it has {size} bytes"))) }
    }

    fn ended(&self) -> bool {
        self.verifier.is_none()
    }

    /// Reads up to `pieces` pieces that may leave; fewer only at the end.
    fn batch(&mut self, pieces: usize) -> Result<Vec<Bytes>, StoreError> {
        let mut batch = Vec::with_capacity(pieces.min(BATCH));
        let Some(mut verifier) = self.verifier.take() else { return Ok(batch) };
        while batch.len() < pieces && self.unread > 0 {
            let size = self.unread.min(CHUNK);
            let mut bytes = Vec::with_capacity(size);
            let read = (&self.file).take(size as u64).read_to_end(&mut bytes);
            let read = read.map_err(|e| self.volume.fail("read", &self.volume.block(self.block.hash), e))?;
            self.unread -= read;
            if read < size {
                self.unread = 0;
            }
            self.leave(&mut batch, verifier.push(bytes.into()));
        }
        if self.unread == 0 {
            let last = verifier.finish().map_err(|reason| self.wrong(reason))?;
            self.leave(&mut batch, last);
        } else {
            self.verifier = Some(verifier);
        }
        Ok(batch)
    }

    fn leave(&mut self, batch: &mut Vec<Bytes>, bytes: Option<Bytes>) {
        let Some(mut bytes) = bytes else { return };
        let held_back = bytes.split_to(self.skip.min(bytes.len()));
        self.skip -= held_back.len();
        if !bytes.is_empty() {
            batch.push(bytes);
        }
    }

    /// Returns the error to report of a block whose bytes are wrong, or what was noted of them: that is to be told by the MD5.
    fn wrong(&mut self, reason: String) -> StoreError {
        match hash(&mut self.file) {
            Ok(found) if found == self.block.hash => {
                noted::forget(&self.file);
                let reason = format!(
                    "block {} was found intact when it was checked again, but when it was read {reason}",
                    self.block
                );
                StoreError::Failed { store: self.volume.name(), reason }
            }
            _ => self.damaged(reason),
        }
    }

    /// Sets the block aside and returns the error to report.
    fn damaged(&self, reason: String) -> StoreError {
        if let Err(error) = self.volume.set_aside(self.block.hash, &self.file, &reason) {
            tracing::error!(store = self.volume.name(), block = %self.block, %error, "a damaged block could not be set aside");
        }
        StoreError::Damaged { store: self.volume.name(), block: self.block, reason }
    }
}
