//! A node on an Arvados cluster: blocks on its Keep services, keys as files of collections.
//!
//! A cluster keeps a block only while a collection refers to it, so a key counts as stored when a collection in which it is
//! a file is there. People find these collections by the node's UUID, `git-annex UUID …`, and may use them; who
//! removes one removes the keys in it, which no lock can prevent.

use std::collections::BTreeSet;
use std::sync::Arc;

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use futures_util::StreamExt;
use keep_store::base::stream::Piece;
use keep_store::entries::collections::Collections;
use keep_store::entries::{KeepStore, extents_of_entry};
use keep_store::store::servers::ApiError;

use super::error::NodeError;
use super::only_ours::hold_if;
use super::port::{ByteStream, Capacity, Content, Hold, Incoming, Node, Onward, Pieces, Upload};

pub mod kind;

/// The content of one repository on an Arvados cluster.
pub struct ArvadosNode(Holdings);

#[derive(Clone)]
struct Holdings {
    store: KeepStore,
    collections: Arc<Collections>,
    owner: Uuid,
}

impl ArvadosNode {
    /// Makes the node with this UUID of a store that records nothing by itself, and of the collections that do.
    pub fn new(store: KeepStore, collections: Arc<Collections>, owner: Uuid) -> Self {
        Self(Holdings { store, collections, owner })
    }
}

#[async_trait]
impl Node for ArvadosNode {
    async fn present(&self, key: &Key) -> Result<bool, NodeError> {
        let Some(extents) = self.0.collections.find(&key.file_name(), true).await? else { return Ok(false) };
        Ok(self.0.store.has_file(&extents).await?)
    }

    async fn get(&self, key: &Key, offset: u64) -> Result<Option<Content>, NodeError> {
        let Some(extents) = self.0.collections.find(&key.file_name(), true).await? else { return Ok(None) };
        let content = self.0.store.read_file(&extents, offset).await?;
        Ok(content.map(|content| Content { size: content.size, stream: content.stream.boxed(), verified: true }))
    }

    async fn put(&self, key: &Key, _file: &AssociatedFile) -> Result<Incoming, NodeError> {
        let (holdings, name) = (self.0.clone(), key.file_name());
        let upload = holdings.store.write(holdings.owner.as_bytes(), &name).await?;
        let kept = upload.offset();
        let upload = Box::new(ArvadosUpload { upload, holdings, name });
        Ok(Incoming::Pieces(Pieces { upload, kept, takes_blocks: true }))
    }

    async fn remove(&self, key: &Key) -> Result<Vec<Uuid>, NodeError> {
        self.0.collections.remove(&key.file_name()).await?;
        Ok(Vec::new())
    }

    /// A collection has no place for damaged files: the file goes, and its blocks once nobody else needs them.
    async fn set_aside(&self, key: &Key) -> Result<(), NodeError> {
        self.remove(key).await.map(drop)
    }

    async fn lock(&self, key: &Key) -> Result<Option<Box<dyn Hold>>, NodeError> {
        Ok(hold_if(self.present(key).await?))
    }

    async fn capacity(&self) -> Result<Capacity, NodeError> {
        self.0.collections.reach().await?;
        // How much room there is, services do not tell.
        self.0.store.space().await?;
        Ok(Capacity::default())
    }

    fn onward(&self, _gateways: &BTreeSet<Uuid>) -> Onward {
        Onward::AsIs
    }
}

struct ArvadosUpload {
    upload: keep_store::entries::Upload,
    holdings: Holdings,
    name: Vec<u8>,
}

#[async_trait]
impl Upload for ArvadosUpload {
    async fn kept(&self) -> Result<ByteStream, NodeError> {
        Ok(self.upload.kept().await?.boxed())
    }

    async fn restart(&mut self) -> Result<(), NodeError> {
        Ok(self.upload.restart().await?)
    }

    async fn announce(&mut self, _size: u64) -> Result<(), NodeError> {
        Ok(())
    }

    async fn piece(&mut self, piece: Piece) -> Result<(), NodeError> {
        Ok(self.upload.piece(piece).await?)
    }

    async fn commit(self: Box<Self>) -> Result<Vec<Uuid>, NodeError> {
        let Self { upload, holdings: Holdings { store, collections, owner }, name } = *self;
        let entry = upload.commit().await?;
        // Until this is done, all of the content is an upload to go on with.
        collections.record(&name, extents_of_entry(&entry)).await?;
        if let Err(error) = store.forget_upload(owner.as_bytes(), &name).await {
            tracing::warn!(store = store.name(), %error, "an upload that is done could not be forgotten");
        }
        Ok(Vec::new())
    }

    async fn suspend(self: Box<Self>) -> Result<(), NodeError> {
        self.upload.suspend().await?;
        Ok(())
    }

    async fn abort(self: Box<Self>) -> Result<(), NodeError> {
        Ok(self.upload.abort().await?)
    }
}

impl From<ApiError> for NodeError {
    fn from(error: ApiError) -> Self {
        let text = error.to_string();
        match error {
            ApiError::Away { .. } => Self::Unreachable(text),
            ApiError::Refused { .. } => Self::Denied(text),
            _ => Self::Failed(text),
        }
    }
}
