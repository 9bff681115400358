//! A git-annex repository on this machine: its settings, its git-annex branch. All of it blocks but `commit_soon`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use annex_protocol::key::Key;
use annex_protocol::log::{Clock, LocationLog, Status, record_locations};
use annex_protocol::uuid::Uuid;
use keep_store::base::clock::SharedClock;
use keep_store::base::disk;

use super::obstacle::Obstacle;
use super::settings::Settings;
use crate::branch::Branch;
use crate::node::error::NodeError;
use crate::node::patience::Patience;

/// A repository that is worked on natively.
pub(super) struct Repository {
    pub(super) path: PathBuf,
    uuid: Uuid,
    /// What its configuration said when it was opened.
    pub(super) settings: Settings,
    pub(super) branch: Branch,
    pub(super) clock: SharedClock,
    /// Content and end of the holds that were given back, as far as their time is not over.
    pub(super) over: Mutex<BTreeSet<(PathBuf, Clock)>>,
    /// A commit of the journal is on its way.
    committing: AtomicBool,
    pub(super) deadlines: Patience,
}

/// How long records gather in the journal before they are committed.
const GATHER: Duration = Duration::from_secs(1);

impl Repository {
    /// Opens the repository at `path`, whose `annex.uuid` must be `uuid`.
    pub(super) fn open(path: &Path, uuid: &Uuid, deadlines: Patience, clock: SharedClock) -> Result<Self, Obstacle> {
        let (git, settings) = Settings::read(path, uuid)?;
        let branch = Branch::open(git, Arc::clone(&clock))?;
        let (path, uuid, committing, over) = (path.into(), uuid.clone(), AtomicBool::new(false), Mutex::default());
        Ok(Self { path, uuid, settings, branch, clock, over, committing, deadlines })
    }

    pub(super) fn annex(&self) -> PathBuf {
        self.branch.git().dir().join("annex")
    }

    /// Reads the settings again: whoever changes them expects them to hold from then on. Blocks.
    pub(super) fn current(&self) -> Result<Settings, Obstacle> {
        Ok(Settings::read(&self.path, &self.uuid)?.1)
    }

    /// Records in the repository's own location log whether it has a key. Blocks.
    pub(super) fn record(&self, key: &Key, status: Status) -> Result<(), NodeError> {
        self.branch.change(&[key.branch_path(".log")], |_, content| {
            // What was never recorded as present needs no record that it is missing.
            if status != Status::Present && !LocationLog::parse(content).present().any(|uuid| uuid == self.uuid) {
                return None;
            }
            record_locations(content, [(&self.uuid, status)], self.branch.now())
        })?;
        Ok(())
    }

    /// Commits the journal after a while. Whoever is killed before leaves it to git-annex or to the next commit.
    pub(super) fn commit_soon(self: &Arc<Self>) {
        if self.settings.always_commit && !self.committing.swap(true, Ordering::AcqRel) {
            let repository = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(GATHER).await;
                repository.committing.store(false, Ordering::Release);
                let branch = repository.branch.clone();
                let commit = move || branch.commit().map_err(NodeError::from);
                if let Err(error) = disk::within(repository.deadlines.answer, commit).await {
                    tracing::warn!("{}: committing the git-annex branch: {error}", repository.path.display());
                }
            });
        }
    }
}
