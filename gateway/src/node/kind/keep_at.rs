//! Keep stores as several parts of a site use them: nodes, the Keep that it serves, commands.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annex_protocol::keep::BlockHash;
use async_trait::async_trait;
use keep_store::entries::{KeepError, KeepStore, Options};
use keep_store::service::OpenStore;
use keep_store::store::dir::Create;
use tokio::sync::{Mutex, OnceCell};

/// A place that a Keep store is at.
#[async_trait]
pub trait KeepAt: Send + Sync {
    /// Returns the name for messages.
    fn name(&self) -> String;

    /// Returns a directory on this machine that no other place has: that of the store, or of its index.
    fn directory(&self) -> &Path;

    /// Opens the store.
    async fn open(&self, create: Create, options: Options) -> Result<KeepStore, KeepError>;

    /// Opens the store in order to rebuild its index; `None` if the index is the only record of what the store holds.
    async fn open_for_reindex(&self, options: Options) -> Result<Option<KeepStore>, KeepError>;
}

/// The stores that are open in this process, by their directories: each once for all repositories.
#[derive(Default)]
pub struct OpenStores(Mutex<HashMap<PathBuf, Arc<OnceCell<KeepStore>>>>);

impl OpenStores {
    /// Returns the store at a place, opened if it was not yet. It must be there.
    async fn open(&self, at: &dyn KeepAt, options: &Options) -> Result<KeepStore, KeepError> {
        let cell = Arc::clone(self.0.lock().await.entry(at.directory().into()).or_default());
        cell.get_or_try_init(|| at.open(Create::Never, options.clone())).await.cloned()
    }
}

/// A store that is opened once for all who use it.
pub struct SharedStore {
    stores: Arc<OpenStores>,
    at: Arc<dyn KeepAt>,
    options: Options,
}

impl SharedStore {
    /// Makes the store at a place, one of `stores`; nothing is opened yet.
    pub fn new(stores: Arc<OpenStores>, at: Arc<dyn KeepAt>, options: Options) -> Self {
        Self { stores, at, options }
    }

    /// Returns where it is.
    pub fn at(&self) -> &dyn KeepAt {
        &*self.at
    }
}

#[async_trait]
impl OpenStore for SharedStore {
    fn name(&self) -> String {
        self.at.name()
    }

    async fn open(&self) -> Result<KeepStore, KeepError> {
        self.stores.open(&*self.at, &self.options).await
    }
}

/// Returns the directory of an index in a site. It is named by the store's place, since a node's name may change.
pub(in crate::node) fn index_of(root: &Path, kind: &str, place: &str) -> PathBuf {
    let digest = BlockHash::of(place.as_bytes()).to_string();
    root.join("nodes").join(format!("{kind}-{}.index", digest.get(..8).unwrap_or_default()))
}
