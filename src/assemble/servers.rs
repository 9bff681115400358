//! Keep on servers: clusters with collections, and services without.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use annex_gateway::node::arvados::ArvadosNode;
use annex_gateway::node::{Node, NodeError, Opener, Patience};
use annex_gateway::site::config::{ArvadosSpec, KeepHttpSpec, KeepServersSpec, Secret};
use annex_protocol::keep::BlockHash;
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use keep_store::base::clock::SystemClock;
use keep_store::base::task::blocking;
use keep_store::entries::collections::{Collections, CollectionsOptions, Layout};
use keep_store::entries::{KeepError, KeepStore, Manifests, Options};
use keep_store::store::StoreError;
use keep_store::store::dir::Create;
use keep_store::store::remote::{Access, Api, Http, RemoteOptions, RemoteStore, Services, Token, Waits};

use super::Stores;

/// Keep services whose index stands on this machine.
pub struct KeepServers {
    pub(super) spec: KeepHttpSpec,
    /// The directory of the index.
    pub(super) index: PathBuf,
    /// How long services are waited for.
    pub(super) patience: Patience,
}

impl KeepServers {
    /// Returns where the index is, if the spec does not say, in a site's directory.
    pub(super) fn index(root: &Path, spec: &KeepHttpSpec) -> PathBuf {
        let usual = || index_of(root, "keep", &spec.addresses.join(","));
        spec.index.clone().unwrap_or_else(usual)
    }

    pub(super) async fn open(&self, create: Create, options: Options) -> Result<KeepStore, KeepError> {
        let services = Services::given(self.spec.addresses.iter().map(String::as_str));
        let name = self.spec.addresses.join(",");
        let http = client(&self.spec.servers, self.patience).await;
        let http = http.map_err(|reason| StoreError::Failed { store: name, reason })?;
        let blocks = RemoteStore::new(http, services, remote_options(&self.spec.servers, self.patience));
        KeepStore::open_servers(blocks, &self.index, create, options).await
    }
}

/// A cluster as all its nodes of this process share it.
pub(super) struct Cluster {
    store: KeepStore,
    api: Arc<Api>,
    blocks: RemoteStore,
    /// By the node's UUID in its repository.
    collections: std::sync::Mutex<HashMap<Uuid, Arc<Collections>>>,
}

impl Cluster {
    async fn open(
        spec: &ArvadosSpec,
        uploads: Option<&Path>,
        options: Options,
        patience: Patience,
    ) -> Result<Self, NodeError> {
        if spec.servers.secret().is_none() {
            let text = "no token: secrets = { token = \"file:PATH\" }, or ARVADOS_API_TOKEN, says where it is";
            return Err(NodeError::Unreachable(format!("arvados://{}: {text}", spec.host)));
        }
        let unusable = |text| NodeError::Unreachable(format!("arvados://{}: {text}", spec.host));
        let remote = remote_options(&spec.servers, patience);
        let http = client(&spec.servers, patience).await.map_err(unusable)?;
        let api = Arc::new(Api::new(http, &spec.host, &remote));
        let http = client(&spec.servers, patience).await.map_err(unusable)?;
        let blocks = RemoteStore::new(http, Services::found(Arc::clone(&api)), remote);
        let store = match uploads {
            Some(dir) => KeepStore::open_unindexed(blocks.clone(), dir, options).await?,
            None => {
                let options = Options { manifests: Manifests::Elsewhere, ..options };
                KeepStore::unindexed(blocks.clone(), options)
            }
        };
        Ok(Self { store, api, blocks, collections: std::sync::Mutex::default() })
    }

    /// Returns the collections of a node, made once: what is known of them is worth keeping.
    fn collections(&self, spec: &ArvadosSpec, uuid: &Uuid) -> Arc<Collections> {
        let mut known = self.collections.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let options = CollectionsOptions {
                project: spec.project.clone(),
                label: format!("git-annex {uuid}"),
                description: format!(
                    "Content of the git-annex repository that a gateway keeps here as its node {uuid}."
                ),
                layout: if spec.single { Layout::Single } else { Layout::Folded },
            };
            Collections::new(Arc::clone(&self.api), self.blocks.clone(), options)
        };
        Arc::clone(known.entry(uuid.clone()).or_insert_with(make))
    }
}

/// Opens a node on a cluster.
pub(super) struct ArvadosOpener {
    pub(super) stores: Stores,
    pub(super) spec: ArvadosSpec,
    /// The directory in which unfinished uploads are remembered.
    pub(super) uploads: Option<PathBuf>,
    pub(super) options: Options,
    pub(super) patience: Patience,
    pub(super) uuid: Uuid,
}

impl ArvadosOpener {
    /// Returns where unfinished uploads to a cluster are remembered in a site's directory.
    pub(super) fn uploads(root: &Path, spec: &ArvadosSpec) -> PathBuf {
        index_of(root, "arvados", &spec.host)
    }
}

#[async_trait]
impl Opener for ArvadosOpener {
    async fn open(&self) -> Result<Arc<dyn Node>, NodeError> {
        let Self { spec, options, uploads, .. } = self;
        let cell = Arc::clone(self.stores.clusters.lock().await.entry(format!("{spec:?}")).or_default());
        let open = || async { Cluster::open(spec, uploads.as_deref(), options.clone(), self.patience).await };
        let cluster = cell.get_or_try_init(open).await?;
        let collections = cluster.collections(spec, &self.uuid);
        Ok(Arc::new(ArvadosNode::new(cluster.store.clone(), collections, self.uuid.clone())))
    }
}

/// Returns the directory of an index in a site, named by the place it is of, not by a node's name, which may change.
pub(super) fn index_of(root: &Path, kind: &str, place: &str) -> PathBuf {
    let digest = BlockHash::of(place.as_bytes()).to_string();
    root.join("nodes").join(format!("{kind}-{}.index", digest.get(..8).unwrap_or_default()))
}

async fn client(spec: &KeepServersSpec, patience: Patience) -> Result<Http, String> {
    let token = match spec.secret() {
        None => Token::None,
        Some(Secret::File(path)) => Token::File(path),
        Some(secret) => Token::Given(blocking(move || secret.read()).await?),
    };
    let (ca_file, insecure) = (spec.ca_file.clone(), spec.insecure);
    Http::new(&Access { token, ca_file, insecure, connect: patience.connect }).await
}

/// A request to a node ends within the node's patience. Within that time servers are asked again, and other servers
/// instead.
fn remote_options(spec: &KeepServersSpec, patience: Patience) -> RemoteOptions {
    let Patience { answer, .. } = patience;
    RemoteOptions {
        replicas: spec.replicas,
        classes: spec.classes.clone(),
        retries: 2,
        pause: Duration::from_millis(500).min(answer / 20),
        waits: Waits {
            look: answer.mul_f64(0.8),
            change: patience.commit().mul_f64(0.8),
            block: answer / 4,
            store: answer,
        },
        // Each upload under way holds one or two; more of them wait for each other.
        writing: 16,
        // What the node says of a block is what the servers say now.
        trusted: Duration::ZERO,
        // It reads from the servers each time: a scrub checks the servers, not this program's memory.
        cache: 0,
        clock: SystemClock::shared(),
    }
}
