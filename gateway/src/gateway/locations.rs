//! The location logs: who has which key, as the git-annex branch has it.

use std::collections::BTreeSet;

use annex_protocol::key::Key;
use annex_protocol::log::{Clock, LocationLog, Status, affirm_location, record_locations};
use annex_protocol::uuid::Uuid;
use keep_store::base::task::blocking;

use crate::branch::{Branch, BranchError};

/// The location logs of a repository. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Locations(Branch);

impl Locations {
    pub(super) fn new(branch: Branch) -> Self {
        Self(branch)
    }

    /// Returns the repositories that have a key.
    pub(super) async fn of(&self, key: &Key) -> Result<BTreeSet<Uuid>, BranchError> {
        Ok(logged(&self.content(key).await?))
    }

    /// Returns the content of a key's location log.
    pub(super) async fn content(&self, key: &Key) -> Result<Vec<u8>, BranchError> {
        let (branch, path) = (self.0.clone(), key.branch_path(".log"));
        blocking(move || branch.read(&path)).await
    }

    /// Returns the keys that a repository has.
    pub(super) async fn keys(&self, uuid: &Uuid) -> Result<Vec<Key>, BranchError> {
        let keys = self.all_keys(uuid).await?;
        Ok(keys.into_iter().filter_map(|(key, present)| present.then_some(key)).collect())
    }

    /// Returns all keys, each with whether a repository has it: all as they were at one moment.
    pub(super) async fn all_keys(&self, uuid: &Uuid) -> Result<Vec<(Key, bool)>, BranchError> {
        let (branch, uuid) = (self.0.clone(), uuid.clone());
        let list = move || {
            let mut keys = Vec::new();
            branch.for_each_key(|key, locations| {
                keys.push((key, locations.is_present(&uuid)));
                Ok(())
            })?;
            Ok(keys)
        };
        blocking(list).await
    }

    /// Records where a key now is, and is no more. A cluster itself is never recorded, only its nodes.
    pub(super) async fn record(&self, key: &Key, changes: Vec<(Uuid, Status)>) -> Result<(), BranchError> {
        if changes.is_empty() {
            return Ok(());
        }
        let (locations, key) = (self.clone(), key.clone());
        blocking(move || locations.record_now(&key, changes)).await
    }

    /// Records that these repositories have a key.
    pub(super) async fn record_present(&self, key: &Key, holders: &[Uuid]) -> Result<(), BranchError> {
        self.record(key, holders.iter().map(|uuid| (uuid.clone(), Status::Present)).collect()).await
    }

    /// Records whether a repository has a key as newer than what somebody else said of it.
    pub(super) async fn affirm(&self, key: &Key, uuid: &Uuid, status: Status, claim: Clock) -> Result<(), BranchError> {
        let (branch, path, uuid) = (self.0.clone(), key.branch_path(".log"), uuid.clone());
        let now = branch.now();
        let affirm = move || {
            // A log is not begun for a key that nobody ever had here.
            let edit = |content: &[u8]| match content.is_empty() {
                true => None,
                false => Some(affirm_location(content, &uuid, status, now, claim)),
            };
            branch.change(&[path], |_, content| edit(content)).map(drop)
        };
        blocking(affirm).await
    }

    /// Records that a repository does not have a key any more.
    pub(super) async fn record_missing(&self, key: &Key, uuid: &Uuid) -> Result<(), BranchError> {
        self.record(key, vec![(uuid.clone(), Status::Missing)]).await
    }

    /// Records that a key is gone from these repositories, as far as it was there. Blocks.
    pub(super) fn record_gone(&self, key: &Key, gone: Vec<Uuid>) -> Result<(), BranchError> {
        let logged = logged(&self.0.read(&key.branch_path(".log"))?);
        let changes = gone.into_iter().filter(|uuid| logged.contains(uuid)).map(|uuid| (uuid, Status::Missing));
        self.record_now(key, changes.collect())
    }

    fn record_now(&self, key: &Key, mut changes: Vec<(Uuid, Status)>) -> Result<(), BranchError> {
        changes.retain(|(uuid, _)| !uuid.is_cluster());
        if changes.is_empty() {
            return Ok(());
        }
        let record = |content: &[u8]| {
            let changes = changes.iter().map(|(uuid, status)| (uuid, *status));
            record_locations(content, changes, self.0.now())
        };
        self.0.change(&[key.branch_path(".log")], |_, content| record(content)).map(drop)
    }
}

/// Returns who has a key by the content of its location log.
pub(super) fn logged(content: &[u8]) -> BTreeSet<Uuid> {
    LocationLog::parse(content).present().collect()
}
