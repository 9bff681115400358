//! What all jobs of the process share: the outcome of negotiation and PREPARE, and the open store.

use std::sync::{Arc, OnceLock};

use annex_protocol::external::{Extension, Extensions};
use keep_store::entries::collections::{Collections, CollectionsOptions, Layout};
use keep_store::entries::{KeepError, KeepStore, Manifests, Options};
use keep_store::store::dir::Create;
use keep_store::store::servers::{Access, Api, Http, ServerOptions, ServerStore, Services, Token};
use tokio::sync::OnceCell;

use super::settings::{self, Settings};

/// The state of one process.
#[derive(Default)]
pub(super) struct Shared {
    extensions: OnceLock<Extensions>,
    prepared: OnceLock<Prepared>,
    opened: OnceCell<Opened>,
}

/// What PREPARE found out.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) settings: Settings,
    /// The remote's UUID: the owner of what it stores.
    pub(super) uuid: Vec<u8>,
    /// What servers are shown.
    pub(super) token: Token,
    /// What the remote is called.
    pub(super) name: String,
    /// It holds a tree, not keys.
    pub(super) tree: bool,
}

/// An open store.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    pub(super) store: KeepStore,
    pub(super) record: Record,
}

/// Where it is recorded which content the remote has.
#[derive(Debug, Clone)]
pub(super) enum Record {
    /// In the store's own index.
    Index,
    /// In git-annex's state of each key, since the servers know only blocks.
    State,
    /// In collections of the cluster.
    Collections(Arc<Collections>),
}

/// The store as a request needs it.
pub(super) struct Place<'a> {
    pub(super) store: KeepStore,
    pub(super) record: Record,
    pub(super) owner: &'a [u8],
    pub(super) settings: &'a Settings,
}

/// Why there is no store to work with.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoPlace {
    #[error("PREPARE has to come first")]
    NotPrepared,
    #[error(transparent)]
    Keep(#[from] KeepError),
    #[error("{0}")]
    Access(String),
}

impl Shared {
    /// Notes what host and program agreed on.
    pub(super) fn negotiated(&self, extensions: Extensions) {
        // Only the first EXTENSIONS counts; a host sends no other.
        let _second = self.extensions.set(extensions);
    }

    /// Tells whether an extension may be used.
    pub(super) fn has(&self, extension: Extension) -> bool {
        self.extensions.get().is_some_and(|extensions| extensions.contains(extension))
    }

    /// Notes what PREPARE found out; the first one counts.
    pub(super) fn prepare(&self, prepared: Prepared) {
        let _second = self.prepared.set(prepared);
    }

    /// Opens the store at the first call that needs it.
    ///
    /// A store that cannot be opened now, perhaps since its disk is away, may be there at the next call.
    pub(super) async fn place(&self) -> Result<Place<'_>, NoPlace> {
        let prepared = self.prepared.get().ok_or(NoPlace::NotPrepared)?;
        let Prepared { settings, uuid, .. } = prepared;
        let opened = self.opened.get_or_try_init(|| open(prepared, Create::Never)).await?;
        let Opened { store, record } = opened.clone();
        Ok(Place { store, record, owner: uuid, settings })
    }
}

/// Opens the store that the settings name.
pub(super) async fn open(prepared: &Prepared, create: Create) -> Result<Opened, NoPlace> {
    let Prepared { settings, .. } = prepared;
    let defaults = Options::default();
    let options = Options {
        block_size: settings.block_size.unwrap_or(defaults.block_size),
        trash_lifetime: settings.trash_lifetime.unwrap_or(defaults.trash_lifetime),
        ..defaults
    };
    match &settings.place {
        settings::Place::Directory(path) => {
            let store = KeepStore::open(path, create, options).await?;
            Ok(Opened { store, record: Record::Index })
        }
        settings::Place::Servers(servers) => {
            let services = Services::given(servers.iter().map(String::as_str));
            let blocks = ServerStore::new(prepared.http().await?, services, prepared.remote_options());
            let options = Options { manifests: Manifests::Open, ..options };
            Ok(Opened { store: KeepStore::unindexed(blocks, options), record: Record::State })
        }
        settings::Place::Cluster { api, project, single, .. } => {
            let remote = prepared.remote_options();
            let api = Arc::new(Api::new(prepared.http().await?, api, &remote));
            let blocks = ServerStore::new(prepared.http().await?, Services::found(Arc::clone(&api)), remote);
            let uuid = String::from_utf8_lossy(&prepared.uuid).into_owned();
            let layout = match (prepared.tree, single) {
                (true, _) => Layout::Tree,
                (false, true) => Layout::Single,
                (false, false) => Layout::Folded,
            };
            let collections = CollectionsOptions {
                project: project.clone(),
                label: format!("git-annex {uuid}"),
                description: format!("Content of the git-annex special remote {} ({uuid}).", prepared.name),
                layout,
            };
            let collections = Collections::new(api, blocks.clone(), collections);
            let options = Options { manifests: Manifests::Elsewhere, ..options };
            let store = KeepStore::unindexed(blocks, options);
            Ok(Opened { store, record: Record::Collections(collections) })
        }
    }
}

impl Prepared {
    async fn http(&self) -> Result<Http, NoPlace> {
        let ca_file = self.settings.ca_file.clone().or_else(|| std::env::var_os("SSL_CERT_FILE").map(Into::into));
        Http::new(&Access { token: self.token.clone(), ca_file, ..Access::default() }).await.map_err(NoPlace::Access)
    }

    fn remote_options(&self) -> ServerOptions {
        let (replicas, classes) = (self.settings.replicas, self.settings.classes.clone());
        ServerOptions { replicas, classes, ..ServerOptions::default() }
    }
}
