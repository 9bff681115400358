//! Stores one block on as many volumes as it takes.

use annex_protocol::keep::BlockHash;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;

use super::{Copies, Stored, Volume, Volumes, Wanted};
use crate::store::{Block, BlockWriter, Placed, StoreError};

/// A block on its way to several volumes.
///
/// Its bytes are kept until the end, for volumes that take the place of one that fails. Dropped unfinished, it leaves
/// nothing.
pub struct Put {
    volumes: Volumes,
    wanted: Wanted,
    kept: Vec<Bytes>,
    /// Volumes still to be tried, best first; `None` while the block's name is not known.
    order: Option<Vec<usize>>,
    /// Volumes that had a block of that name before.
    had: Vec<usize>,
    active: Vec<(usize, Box<dyn BlockWriter>)>,
    stored: Stored,
}

impl Put {
    pub(super) async fn begin(volumes: Volumes, hash: Option<BlockHash>, wanted: Wanted) -> Self {
        let (kept, had, active) = (Vec::new(), Vec::new(), Vec::new());
        let mut put = Self { volumes, wanted, kept, order: None, had, active, stored: Stored::default() };
        if let Some(hash) = hash {
            put.order(hash).await;
            put.open().await;
        }
        put
    }

    /// Takes the next bytes; waits while the volumes cannot keep up.
    pub async fn push(&mut self, bytes: Bytes) {
        let writing = self.active.drain(..).map(|(at, mut writer)| {
            let bytes = bytes.clone();
            async move { writer.write(bytes).await.map(|()| (at, writer)) }
        });
        for written in join_all(writing).await {
            match written {
                Ok(active) => self.active.push(active),
                Err(error) => self.stored.failures.push(error),
            }
        }
        self.kept.push(bytes);
    }

    /// Ends the block, whose name and size, and BLAKE3 if it is given, the caller has made sure of.
    ///
    /// What was stored may be less than what was wanted, and is then never nothing. A volume that holds another content under
    /// the same name ends it all: [`StoreError::Collision`].
    pub async fn finish(mut self, block: Block, blake3: Option<[u8; 32]>) -> Result<Stored, StoreError> {
        if self.order.is_none() {
            self.order(block.hash).await;
        }
        loop {
            let active = std::mem::take(&mut self.active);
            // Volumes that have a block of this name come first: if its content differs there, nothing is stored
            // anywhere.
            let (had, new): (Vec<_>, Vec<_>) = active.into_iter().partition(|(at, _)| self.had.contains(at));
            for active in [had, new] {
                let finishing = active.into_iter().map(async |(at, writer)| (at, writer.finish(block, blake3).await));
                for (at, finished) in join_all(finishing).await {
                    match finished {
                        Ok(placed) => self.stored.on.push((at, placed)),
                        Err(error @ StoreError::Collision { .. }) => return Err(error),
                        Err(error) => self.stored.failures.push(error),
                    }
                }
            }
            self.open().await;
            if self.active.is_empty() {
                break;
            }
            for bytes in std::mem::take(&mut self.kept) {
                self.push(bytes).await;
            }
        }
        if self.stored.on.is_empty() {
            return Err(self.stored.failures.pop().unwrap_or(StoreError::Nowhere));
        }
        self.stored.on.sort_by_key(|(at, _)| *at);
        Ok(self.stored)
    }

    /// Volumes that have the block come first: it is looked at there and touched, not stored once more elsewhere.
    async fn order(&mut self, hash: BlockHash) {
        let order = self.volumes.order(hash);
        let asked = order.into_iter().filter_map(|at| Some((at, self.volumes.all().get(at)?)));
        let asked = asked.filter(|(_, volume)| !volume.read_only);
        let mut found = join_all(asked.map(async |(at, volume)| (at, volume.store.stat(hash).await))).await;
        found.sort_by_key(|(_, stat)| match stat {
            Ok(Some(_)) => 0,
            Ok(None) => 1,
            Err(_) => 2,
        });
        self.had = found.iter().filter(|(_, stat)| matches!(stat, Ok(Some(_)))).map(|(at, _)| *at).collect();
        // The next one is taken from the end.
        self.order = Some(found.into_iter().rev().map(|(at, _)| at).collect());
    }

    /// Opens writers on as many volumes as are lacking.
    async fn open(&mut self) {
        let mut order = self.order.take().unwrap_or_default();
        let mut later = Vec::new();
        while !self.enough() {
            let Some(at) = order.pop() else { break };
            let Some(volume) = self.volumes.all().get(at).filter(|volume| self.is_lacking(volume)) else {
                later.push(at);
                continue;
            };
            match volume.store.writer().await {
                Ok(writer) => self.active.push((at, writer)),
                Err(error) => self.stored.failures.push(error),
            }
        }
        order.extend(later.into_iter().rev());
        self.order = Some(order);
    }

    fn enough(&self) -> bool {
        let copies = self.copies();
        match self.wanted.classes.is_empty() {
            true => copies.replicas >= self.wanted.replicas,
            false => self.lacking(&copies).next().is_none(),
        }
    }

    fn is_lacking(&self, volume: &Volume) -> bool {
        self.wanted.classes.is_empty() || self.lacking(&self.copies()).any(|class| volume.classes.contains(class))
    }

    /// The storage classes in which there are too few copies.
    fn lacking(&self, copies: &Copies) -> impl Iterator<Item = &String> {
        let few = |class: &&String| copies.classes.get(*class).is_none_or(|copies| *copies < self.wanted.replicas);
        self.wanted.classes.iter().filter(few)
    }

    /// Counts copies that are stored or on their way.
    fn copies(&self) -> Copies {
        let stored = self.stored.on.iter().map(|(at, _)| *at);
        self.volumes.copies(stored.chain(self.active.iter().map(|(at, _)| *at)))
    }
}

#[async_trait]
impl BlockWriter for Put {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.push(bytes).await;
        Ok(())
    }

    async fn finish(self: Box<Self>, block: Block, blake3: Option<[u8; 32]>) -> Result<Placed, StoreError> {
        let first = self.volumes.order(block.hash);
        let stored = (*self).finish(block, blake3).await?;
        // Of several who store a block at once one was first on the volume that is asked first.
        let placed = first.iter().find_map(|at| stored.on.iter().find(|(on, _)| on == at));
        Ok(placed.map_or(Placed::New, |(_, placed)| *placed))
    }
}
