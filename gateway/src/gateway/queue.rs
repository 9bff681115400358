//! The repair queue: keys of which a copy may be missing.

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use keep_store::base::task::blocking;

use crate::site::Site;
use crate::site::repair::Wanting;

/// The repair queue of a repository.
pub(super) struct RepairQueue {
    site: Site,
    /// The UUID of the repository itself.
    repository: Uuid,
}

impl RepairQueue {
    pub(super) fn new(site: Site, repository: Uuid) -> Self {
        Self { site, repository }
    }

    /// Puts a key into the queue. `file` is a file that has it as its content.
    pub(super) async fn put(&self, key: &Key, file: &AssociatedFile, cause: String) {
        let (site, wanting) = (self.site.clone(), self.entry(key, file, cause));
        if let Err(error) = blocking(move || site.want_repair(&wanting)).await {
            tracing::error!("{key}: it cannot be put into the repair queue: {error}");
        }
    }

    /// Returns what stands in the queue about a key.
    pub(super) fn entry(&self, key: &Key, file: &AssociatedFile, cause: String) -> Wanting {
        Wanting { gateway: self.repository.clone(), key: key.clone(), file: file.clone(), cause, tries: 0 }
    }
}
