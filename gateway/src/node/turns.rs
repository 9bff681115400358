//! Uploads of one key to a server that takes only one at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use keep_store::base::stream::Piece;
use tokio::sync::watch;
use tokio::time::timeout;

use super::error::NodeError;
use super::port::{ByteStream, Node, Upload};

/// The keys that are being stored on a server.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<Key, watch::Receiver<()>>>);

/// Whether an upload of a key is the first one.
pub(super) enum Turn {
    /// The first; others follow it until this is dropped.
    First(#[allow(dead_code, reason = "its end is what counts")] watch::Sender<()>),
    /// A later one, while the first is under way; this resolves when the first ends.
    After(watch::Receiver<()>),
}

impl Turns {
    pub(super) fn take(&self, key: &Key) -> Turn {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|_, first| first.has_changed().is_ok());
        if let Some(first) = under_way.get(key) {
            return Turn::After(first.clone());
        }
        let (first, others) = watch::channel(());
        under_way.insert(key.clone(), others);
        Turn::First(first)
    }
}

/// An upload of what another upload brings already. It sends nothing, and succeeds if the other does.
pub(super) struct Follower {
    pub(super) node: Arc<dyn Node>,
    pub(super) key: Key,
    pub(super) first: watch::Receiver<()>,
    /// How long it waits for the other's end.
    pub(super) patience: Duration,
}

#[async_trait]
impl Upload for Follower {
    async fn kept(&self) -> Result<ByteStream, NodeError> {
        Ok(stream::empty().boxed())
    }

    async fn restart(&mut self) -> Result<(), NodeError> {
        Ok(())
    }

    async fn announce(&mut self, _size: u64) -> Result<(), NodeError> {
        Ok(())
    }

    async fn piece(&mut self, _piece: Piece) -> Result<(), NodeError> {
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<Vec<Uuid>, NodeError> {
        // Nothing is ever sent: this ends with the other upload.
        let ended = timeout(self.patience, self.first.changed()).await;
        match ended.is_ok() && self.node.present(&self.key).await? {
            true => Ok(Vec::new()),
            false => Err(NodeError::Busy("an earlier upload of the same content to this node did not end".to_owned())),
        }
    }

    async fn suspend(self: Box<Self>) -> Result<(), NodeError> {
        Ok(())
    }

    async fn abort(self: Box<Self>) -> Result<(), NodeError> {
        Ok(())
    }
}
