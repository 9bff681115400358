//! What preferred content expressions ask about a key, answered from the git-annex branch.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use annex_protocol::key::Key;
use annex_protocol::log::{Metadata, MetadataLog, PresenceLog, recorded_urls};
use annex_protocol::prefer::KeyFacts;
use annex_protocol::uuid::Uuid;

use crate::branch::placement::PlacementState;
use crate::branch::sizes::Sizes;
use crate::branch::{Branch, BranchError};

/// The facts about one key. Blocks while it reads. The first error is kept, and the caller looks at it afterwards.
pub(super) struct Facts<'a> {
    pub(super) branch: &'a Branch,
    pub(super) state: &'a PlacementState,
    pub(super) sizes: &'a Mutex<Sizes>,
    /// What uploads under way bring to each repository.
    pub(super) coming: HashMap<Uuid, u64>,
    pub(super) key: &'a Key,
    /// Who has the key, clusters not added.
    pub(super) locations: BTreeSet<Uuid>,
    pub(super) failed: Mutex<Option<BranchError>>,
}

impl Facts<'_> {
    fn read(&self, suffix: &str) -> Vec<u8> {
        self.keep_error(self.branch.read(&self.key.branch_path(suffix))).unwrap_or_default()
    }

    fn keep_error<T>(&self, outcome: Result<T, BranchError>) -> Option<T> {
        outcome
            .map_err(|error| {
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            })
            .ok()
    }
}

impl KeyFacts for Facts<'_> {
    fn locations(&self) -> BTreeSet<Uuid> {
        let mut locations = self.locations.clone();
        self.state.clusters.add_clusters(&mut locations);
        locations
    }

    fn metadata(&self) -> Metadata {
        MetadataLog::parse(&self.read(".log.met")).current()
    }

    fn urls(&self) -> Vec<Vec<u8>> {
        recorded_urls(&self.read(".log.web")).into_iter().map(|(_, url)| url.to_vec()).collect()
    }

    fn equivalent_keys(&self) -> Vec<Key> {
        let content = self.read(".log.ek");
        PresenceLog::parse(&content).present().filter_map(|key| Key::parse(key).ok()).collect()
    }

    fn repository_size(&self, repository: &Uuid) -> Option<u64> {
        let mut sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        self.keep_error(self.branch.update_sizes(&mut sizes))?;
        Some(sizes.of(repository)?.saturating_add(self.coming.get(repository).copied().unwrap_or_default()))
    }
}
