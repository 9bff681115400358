//! What all jobs of the process share: the outcome of negotiation and PREPARE, and the open store.

use std::sync::OnceLock;

use annex_protocol::external::{Extension, Extensions};
use tokio::sync::OnceCell;

use super::settings::Settings;
use crate::keep::{Create, KeepError, KeepStore, Options};

/// The state of one process.
#[derive(Default)]
pub(super) struct Shared {
    extensions: OnceLock<Extensions>,
    prepared: OnceLock<Prepared>,
    store: OnceCell<KeepStore>,
}

/// What PREPARE found out.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) settings: Settings,
    /// The remote's UUID: the owner of what it stores.
    pub(super) uuid: Vec<u8>,
}

/// The store as a request needs it.
pub(super) struct Place<'a> {
    pub(super) store: KeepStore,
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
        let Prepared { settings, uuid } = self.prepared.get().ok_or(NoPlace::NotPrepared)?;
        let store = self.store.get_or_try_init(|| open(settings, Create::Never)).await?.clone();
        Ok(Place { store, owner: uuid, settings })
    }
}

/// Opens the store that the settings name.
pub(super) async fn open(settings: &Settings, create: Create) -> Result<KeepStore, KeepError> {
    let defaults = Options::default();
    let options = Options {
        block_size: settings.block_size.unwrap_or(defaults.block_size),
        trash_lifetime: settings.trash_lifetime.unwrap_or(defaults.trash_lifetime),
        ..defaults
    };
    KeepStore::open(&settings.store, create, options).await
}
