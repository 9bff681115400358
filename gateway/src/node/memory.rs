//! A node that keeps content in memory: for tests, since all of it is gone when the process ends.
//!
//! It does nothing that takes time: neither disks nor threads, so it runs under a clock that a test moves.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use keep_store::base::stream::Piece;
use tokio::time::Instant;

use super::error::NodeError;
use super::only_ours::hold_if;
use super::port::{ByteStream, Capacity, Content, Hold, Incoming, Node, Onward, Pieces, Space, Upload};

pub mod kind;

/// Content in memory. Cloning shares it.
#[derive(Clone, Default)]
pub struct MemoryNode(Arc<Mutex<Shelf>>);

/// What a node holds.
#[derive(Default)]
struct Shelf {
    content: HashMap<Key, Bytes>,
    /// What uploads that were suspended left.
    suspended: HashMap<Key, Vec<u8>>,
    /// Bad copies, as they were taken out of use.
    aside: Vec<(Key, Bytes)>,
    /// Bytes of uploads under way.
    coming: u64,
    /// The most bytes that all of these may have together.
    room: Option<u64>,
    /// Whether it says that it checks what it gives.
    verifies: bool,
    /// Whether its locks do nothing, so that only the gateway's own lock keeps content from removal.
    leaves_locks: bool,
    /// Until when each hold lasts, by its number.
    holds: HashMap<Key, HashMap<u64, Instant>>,
    last_hold: u64,
}

/// How long content stays after its holder was last heard of.
const HELD: Duration = Duration::from_secs(600);

/// Bytes that come at once when content is read.
const READ: usize = 64 << 10;

impl MemoryNode {
    /// Makes an empty node with room for so many bytes.
    pub fn with_room(bytes: u64) -> Self {
        let node = Self::default();
        node.set_room(Some(bytes));
        node
    }

    /// Changes how many bytes fit; `None` is as many as there is memory.
    pub fn set_room(&self, bytes: Option<u64>) {
        self.shelf().room = bytes;
    }

    /// Sets whether it says that it checks what it gives.
    pub fn set_verifies(&self, verifies: bool) {
        self.shelf().verifies = verifies;
    }

    /// Sets whether its locks do nothing, so that only the gateway's own lock keeps content from removal.
    pub fn set_leaves_locks(&self, leaves_locks: bool) {
        self.shelf().leaves_locks = leaves_locks;
    }

    /// Tells whether it says that it checks what it gives.
    pub fn verifies(&self) -> bool {
        self.shelf().verifies
    }

    /// Returns the keys whose content it has, in order.
    pub fn keys(&self) -> BTreeSet<Key> {
        self.shelf().content.keys().cloned().collect()
    }

    /// Returns what it has for a key.
    pub fn content(&self, key: &Key) -> Option<Bytes> {
        self.shelf().content.get(key).cloned()
    }

    /// Puts bytes in place of a key's content, be they good or not; `None` takes it away. Nobody is told.
    pub fn change(&self, key: &Key, content: Option<Bytes>) {
        let mut shelf = self.shelf();
        match content {
            Some(content) => drop(shelf.content.insert(key.clone(), content)),
            None => drop(shelf.content.remove(key)),
        }
    }

    /// Returns the copies that were set aside, the first one first.
    pub fn aside(&self) -> Vec<(Key, Bytes)> {
        self.shelf().aside.clone()
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn held(&self) -> u64 {
        self.content.values().map(|bytes| bytes.len() as u64).sum()
    }

    /// Returns how many bytes still fit.
    fn free(&self) -> Option<u64> {
        let suspended: u64 = self.suspended.values().map(|bytes| bytes.len() as u64).sum();
        let aside: u64 = self.aside.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        Some(self.room?.saturating_sub(self.held() + suspended + aside + self.coming))
    }

    fn has_room_for(&self, bytes: u64) -> Result<(), NodeError> {
        match self.free() {
            Some(free) if free < bytes => {
                Err(NodeError::Full(format!("{free} bytes are free, and {bytes} are to come")))
            }
            _ => Ok(()),
        }
    }

    /// Takes a key's content away, unless somebody holds it.
    fn take(&mut self, key: &Key) -> Result<Option<Bytes>, NodeError> {
        if let Some(holds) = self.holds.get_mut(key) {
            holds.retain(|_, until| *until > Instant::now());
            if !holds.is_empty() {
                return Err(NodeError::Locked("the content is locked against removal".to_owned()));
            }
        }
        Ok(self.content.remove(key))
    }
}

#[async_trait]
impl Node for MemoryNode {
    async fn present(&self, key: &Key) -> Result<bool, NodeError> {
        Ok(self.shelf().content.contains_key(key))
    }

    async fn get(&self, key: &Key, offset: u64) -> Result<Option<Content>, NodeError> {
        let Some(content) = self.content(key) else { return Ok(None) };
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let size = content.len() as u64;
        Ok(Some(Content { size, stream: stream_of(content.slice(from..)), verified: self.shelf().verifies }))
    }

    async fn put(&self, key: &Key, _file: &AssociatedFile) -> Result<Incoming, NodeError> {
        let mut shelf = self.shelf();
        let came = shelf.suspended.remove(key).unwrap_or_default();
        let kept = came.len() as u64;
        shelf.coming += kept;
        let upload = MemoryUpload { node: self.clone(), key: key.clone(), came };
        Ok(Incoming::Pieces(Pieces { upload: Box::new(upload), kept, takes_blocks: false }))
    }

    async fn remove(&self, key: &Key) -> Result<Vec<Uuid>, NodeError> {
        self.shelf().take(key)?;
        Ok(Vec::new())
    }

    async fn set_aside(&self, key: &Key) -> Result<(), NodeError> {
        let mut shelf = self.shelf();
        if let Some(content) = shelf.take(key)? {
            shelf.aside.push((key.clone(), content));
        }
        Ok(())
    }

    async fn lock(&self, key: &Key) -> Result<Option<Box<dyn Hold>>, NodeError> {
        let mut shelf = self.shelf();
        if !shelf.content.contains_key(key) {
            return Ok(None);
        }
        if shelf.leaves_locks {
            return Ok(hold_if(true));
        }
        shelf.last_hold += 1;
        let number = shelf.last_hold;
        shelf.holds.entry(key.clone()).or_default().insert(number, Instant::now() + HELD);
        Ok(Some(Box::new(MemoryHold { node: self.clone(), key: key.clone(), number })))
    }

    async fn capacity(&self) -> Result<Capacity, NodeError> {
        let shelf = self.shelf();
        let space = shelf.room.zip(shelf.free()).map(|(total, free)| Space { total, free, device: None });
        Ok(Capacity { space, held: Some(shelf.held()) })
    }

    fn onward(&self, _gateways: &BTreeSet<Uuid>) -> Onward {
        Onward::AsIs
    }
}

fn stream_of(mut content: Bytes) -> ByteStream {
    let parts = std::iter::from_fn(move || {
        let part = content.split_to(content.len().min(READ));
        (!part.is_empty()).then_some(Ok(part))
    });
    stream::iter(parts).boxed()
}

/// An upload on its way. Dropped without an end, what came is gone.
struct MemoryUpload {
    node: MemoryNode,
    key: Key,
    came: Vec<u8>,
}

impl MemoryUpload {
    /// Takes what came out of the upload.
    fn end(&mut self) -> Vec<u8> {
        let came = std::mem::take(&mut self.came);
        self.node.shelf().coming -= came.len() as u64;
        came
    }
}

impl Drop for MemoryUpload {
    fn drop(&mut self) {
        self.end();
    }
}

#[async_trait]
impl Upload for MemoryUpload {
    async fn kept(&self) -> Result<ByteStream, NodeError> {
        Ok(stream_of(Bytes::copy_from_slice(&self.came)))
    }

    async fn restart(&mut self) -> Result<(), NodeError> {
        self.end();
        Ok(())
    }

    async fn announce(&mut self, size: u64) -> Result<(), NodeError> {
        self.node.shelf().has_room_for(size.saturating_sub(self.came.len() as u64))
    }

    async fn piece(&mut self, piece: Piece) -> Result<(), NodeError> {
        let Piece::Data(bytes) = piece else { return Ok(()) };
        let mut shelf = self.node.shelf();
        shelf.has_room_for(bytes.len() as u64)?;
        shelf.coming += bytes.len() as u64;
        self.came.extend_from_slice(&bytes);
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<Vec<Uuid>, NodeError> {
        let came = self.came.len() as u64;
        if self.key.content_size().is_some_and(|size| size != came) {
            return Err(NodeError::WrongUpload(format!("only {came} bytes of the content came")));
        }
        let content = self.end().into();
        self.node.shelf().content.insert(self.key.clone(), content);
        Ok(Vec::new())
    }

    async fn suspend(mut self: Box<Self>) -> Result<(), NodeError> {
        let came = self.end();
        let mut shelf = self.node.shelf();
        let kept = shelf.suspended.entry(self.key.clone()).or_default();
        // If several uploads of the key were suspended, the longest is kept.
        if came.len() > kept.len() {
            *kept = came;
        }
        Ok(())
    }

    async fn abort(mut self: Box<Self>) -> Result<(), NodeError> {
        self.end();
        Ok(())
    }
}

struct MemoryHold {
    node: MemoryNode,
    key: Key,
    number: u64,
}

#[async_trait]
impl Hold for MemoryHold {
    async fn renew(&mut self) -> Result<(), NodeError> {
        let mut shelf = self.node.shelf();
        if !shelf.content.contains_key(&self.key) {
            return Err(NodeError::Failed("the content is gone: it was held for too long".to_owned()));
        }
        shelf.holds.entry(self.key.clone()).or_default().insert(self.number, Instant::now() + HELD);
        Ok(())
    }

    async fn release(self: Box<Self>) -> Result<(), NodeError> {
        if let Some(holds) = self.node.shelf().holds.get_mut(&self.key) {
            holds.remove(&self.number);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(size: u64) -> Key {
        Key::parse(format!("WORM-s{size}--a").as_bytes()).unwrap()
    }

    async fn start(node: &MemoryNode, key: &Key) -> Pieces {
        match node.put(key, &AssociatedFile::default()).await.unwrap() {
            Incoming::Pieces(pieces) => pieces,
            Incoming::WholeFile(_) => panic!("it takes pieces"),
        }
    }

    fn data(bytes: &'static [u8]) -> Piece {
        Piece::Data(Bytes::from_static(bytes))
    }

    #[tokio::test(start_paused = true)]
    async fn room_is_for_all_that_came_and_comes_back_with_what_goes() {
        let (node, key) = (MemoryNode::with_room(10), key(6));
        let free = async || node.capacity().await.unwrap().space.unwrap().free;
        let mut first = start(&node, &key).await.upload;
        assert_eq!(first.announce(11).await.unwrap_err().kind(), crate::node::NodeErrorKind::Full);
        first.piece(data(b"abcdef")).await.unwrap();
        assert_eq!(free().await, 4);
        let mut second = start(&node, &key).await.upload;
        assert!(matches!(second.piece(data(b"abcdef")).await, Err(NodeError::Full(_))));
        second.piece(data(b"abc")).await.unwrap();
        second.suspend().await.unwrap();
        assert_eq!(free().await, 1, "what was suspended is kept");
        first.commit().await.unwrap();
        assert_eq!(free().await, 1);
        let mut third = start(&node, &key).await;
        assert_eq!(third.kept, 3);
        third.restart().await.unwrap();
        assert_eq!(free().await, 4);
        drop(third);
        assert_eq!(node.capacity().await.unwrap().held, Some(6));
        node.remove(&key).await.unwrap();
        assert_eq!(free().await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn held_content_is_not_removed_until_its_holder_lets_go_or_is_gone_for_long() {
        let (node, key) = (MemoryNode::default(), key(1));
        node.change(&key, Some(Bytes::from_static(b"x")));
        let (first, lost) = (node.lock(&key).await.unwrap().unwrap(), node.lock(&key).await.unwrap().unwrap());
        first.release().await.unwrap();
        drop(lost);
        assert!(matches!(node.remove(&key).await, Err(NodeError::Locked(_))));
        assert!(matches!(node.set_aside(&key).await, Err(NodeError::Locked(_))));
        tokio::time::sleep(HELD).await;
        node.set_aside(&key).await.unwrap();
        assert_eq!(node.aside(), [(key.clone(), Bytes::from_static(b"x"))]);
        assert!(node.keys().is_empty());
        assert!(node.lock(&key).await.unwrap().is_none());
    }
}
