//! Nodes on Arvados clusters: `arvados://HOST[:PORT]?NAME=VALUE&…`.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use annex_protocol::keep::ObjectKind;
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use keep_store::entries::collections::{Collections, CollectionsOptions, Layout};
use keep_store::entries::{KeepStore, Manifests, Options};
use keep_store::store::servers::{Api, ServerStore, Services};
use tokio::sync::{Mutex, OnceCell};

use super::ArvadosNode;
use crate::node::error::NodeError;
use crate::node::kind::keep_servers::{KeepServersSpec, SETTINGS, address, client, display, remote_options};
use crate::node::kind::{Beside, Kind, Opening, Reserve, Spec, query};
use crate::node::lazy::{Lazy, Opener};
use crate::node::patience::Patience;
use crate::node::port::Node;

/// Clusters.
pub(in crate::node) const KIND: Kind = Kind {
    schemes: &["arvados"],
    forms: &["arvados://"],
    parse: |text| Ok(Box::new(ArvadosSpec::parse(text.place())?)),
    local: false,
    reserve: Reserve::NO_DISK,
    served: false,
    one_repository: None,
    own_uuid: None,
    starts_program: false,
};

/// An Arvados cluster: blocks on its Keep services, keys as files of collections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArvadosSpec {
    /// The API server, `HOST[:PORT]`; it is asked over TLS.
    pub host: String,
    /// UUID of the project that the collections are in; the user's own without one.
    pub project: Option<String>,
    /// Each key has a collection of its own.
    pub single: bool,
    /// How servers are asked, and with which replication and storage classes.
    pub servers: KeepServersSpec,
}

impl ArvadosSpec {
    /// Parses what follows `arvados://`.
    fn parse(text: &str) -> Result<Self, String> {
        let (host, settings) = text.split_once('?').unwrap_or((text, ""));
        let mut spec = Self {
            host: address(host, "arvados://HOST[:PORT]?project=UUID")?,
            project: None,
            single: false,
            servers: KeepServersSpec::default(),
        };
        for setting in query::settings(settings) {
            let (name, value) = setting?;
            match (name, value.as_str()) {
                ("project", uuid) if ObjectKind::is_owner(uuid) => spec.project = Some(value),
                ("project", uuid) => {
                    return Err(format!("project={uuid} is no UUID of a project or user, such as zzzzz-j7d0g-…"));
                }
                ("collections", "few") => spec.single = false,
                ("collections", "key") => spec.single = true,
                (name, text) if spec.servers.set(name, text)? => {}
                (name, value) => {
                    return Err(format!(
                        "\"{name}={value}\" is no setting of an Arvados node; it has project, collections=few|key, {SETTINGS}"
                    ));
                }
            }
        }
        Ok(spec)
    }
}

#[async_trait]
impl Spec for ArvadosSpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn absolute(&self, base: &Path) -> Box<dyn Spec> {
        Box::new(Self { servers: self.servers.in_folder(base), ..self.clone() })
    }

    fn take(&mut self, beside: &mut Beside) -> Result<(), String> {
        self.servers.take_secrets(&mut beside.secrets)
    }

    fn node(&self, opening: &Opening) -> Arc<dyn Node> {
        let Opening { uuid, patience, keep: options, .. } = opening.clone();
        let uploads = opening.site.as_ref().map(|_site| opening.index_of("arvados", &self.host));
        let (spec, clusters) = (self.clone(), opening.shared.get());
        Arc::new(Lazy::new(Box::new(ArvadosOpener { clusters, spec, uploads, options, patience, uuid })))
    }
}

/// The clusters that nodes of this process are on, by their specs.
#[derive(Default)]
struct Clusters(Mutex<HashMap<String, Arc<OnceCell<Cluster>>>>);

/// A cluster as all its nodes of this process share it.
struct Cluster {
    store: KeepStore,
    api: Arc<Api>,
    blocks: ServerStore,
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
        let remote = remote_options(&spec.servers, patience, &options.clock);
        let http = client(&spec.servers, patience).await.map_err(unusable)?;
        let api = Arc::new(Api::new(http, &spec.host, &remote));
        let http = client(&spec.servers, patience).await.map_err(unusable)?;
        let blocks = ServerStore::new(http, Services::found(Arc::clone(&api)), remote);
        let store = match uploads {
            Some(dir) => KeepStore::open_unindexed(blocks.clone(), dir, options).await?,
            None => {
                let options = Options { manifests: Manifests::Elsewhere, ..options };
                KeepStore::unindexed(blocks.clone(), options)
            }
        };
        Ok(Self { store, api, blocks, collections: std::sync::Mutex::default() })
    }

    /// Returns the collections of a node. They are opened once, so that what was read of them is not read again.
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
struct ArvadosOpener {
    clusters: Arc<Clusters>,
    spec: ArvadosSpec,
    /// The directory in which unfinished uploads are remembered.
    uploads: Option<PathBuf>,
    options: Options,
    patience: Patience,
    uuid: Uuid,
}

#[async_trait]
impl Opener for ArvadosOpener {
    async fn open(&self) -> Result<Arc<dyn Node>, NodeError> {
        let Self { spec, options, uploads, .. } = self;
        let cell = Arc::clone(self.clusters.0.lock().await.entry(format!("{spec:?}")).or_default());
        let open = || async { Cluster::open(spec, uploads.as_deref(), options.clone(), self.patience).await };
        let cluster = cell.get_or_try_init(open).await?;
        let collections = cluster.collections(spec, &self.uuid);
        Ok(Arc::new(ArvadosNode::new(cluster.store.clone(), collections, self.uuid.clone())))
    }
}

impl fmt::Display for ArvadosSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "arvados://{}", self.host)?;
        let own = [("project", self.project.clone()), ("collections", self.single.then(|| "key".to_owned()))];
        display(f, own.into_iter().chain(self.servers.settings()))
    }
}
