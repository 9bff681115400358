//! Opening a node on a Keep store, wherever that is.

use std::sync::Arc;

use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use keep_store::base::disk;
use keep_store::base::task::blocking;
use keep_store::service::OpenStore;
use keep_store::store::dir::Create;

use super::KeepNode;
use crate::node::error::NodeError;
use crate::node::kind::Opening;
use crate::node::kind::keep_at::{KeepAt, SharedStore};
use crate::node::lazy::{Lazy, Opener};
use crate::node::port::Node;

struct KeepOpener {
    store: SharedStore,
    uuid: Uuid,
}

/// Makes a node on the store at a place, which all nodes of this process share.
pub(super) fn node(at: Arc<dyn KeepAt>, opening: &Opening) -> Arc<dyn Node> {
    let store = SharedStore::new(opening.shared.get(), at, opening.keep.clone());
    Arc::new(Lazy::new(Box::new(KeepOpener { store, uuid: opening.uuid.clone() })))
}

/// Makes a store where there is none. One that is there already is only looked at.
pub(super) async fn make(at: &dyn KeepAt) -> Result<(), NodeError> {
    drop(at.open(Create::IfMissing, keep_store::entries::Options::default()).await?);
    Ok(())
}

#[async_trait]
impl Opener for KeepOpener {
    async fn open(&self) -> Result<Arc<dyn Node>, NodeError> {
        match self.store.open().await {
            Ok(store) => {
                let path = self.store.at().directory().to_path_buf();
                let device = blocking(move || disk::device(&path)).await.ok();
                Ok(Arc::new(KeepNode::new(store, self.uuid.clone()).on_device(device)))
            }
            Err(error) => Err(NodeError::Unreachable(error.to_string())),
        }
    }
}
