//! A node that is a git-annex repository on this machine, worked on natively: its files, its locks, its location log.
//!
//! ```text
//! annex/objects/HASHDIR/KEY/KEY    content; neither file nor folder is writable. Lower-case hash directories in a bare
//!                                  repository, mixed ones in others; both are looked in
//! annex/objects/…/KEY.lck, .rtm    content lock, and how long it lasts over a crash; see `annex/lock.rs`
//! annex/tmp/KEY                    an upload that broke off, git-annex's or ours: either goes on with it
//! annex/transfer/download/lck/     who is writing to annex/tmp
//! annex/journal, git-annex branch  the repository's own record of what it has
//! ```
//!
//! A real git-annex can work in the repository at the same time. What only git-annex can do right is refused, with a text
//! that says so: repositories whose settings change how content is kept (see `annex/settings.rs`), and keys that an
//! unlocked file of the work tree has for its content. Source: spec `git-annex-branch.md` §2 and §7, `p2p-protocol.md` §6,
//! and what git-annex does.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use annex_protocol::key::Key;
use annex_protocol::log::{Clock, LocationLog, Status, record_locations};
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;

use super::{Content, Hold, Node, NodeError, Patience, Space, Upload};
use crate::annex::{Branch, BranchError};
use crate::disk::{self, Part};

mod lock;
mod objects;
mod settings;
mod unlocked;
mod upload;

use settings::Settings;

/// A git-annex repository on this machine.
pub struct AnnexNode(Arc<Repository>);

struct Repository {
    path: PathBuf,
    uuid: Uuid,
    /// What its configuration said when it was opened.
    settings: Settings,
    branch: Branch,
    /// Content and end of the holds that were given back, as far as their time is not over.
    over: Mutex<BTreeSet<(PathBuf, Clock)>>,
    /// A commit of the journal is on its way.
    committing: AtomicBool,
    deadlines: Patience,
}

/// How long records gather in the journal before they are committed.
const GATHER: Duration = Duration::from_secs(1);

impl AnnexNode {
    /// Opens the repository at `path`, whose `annex.uuid` must be `uuid`.
    pub async fn open(path: &Path, uuid: &Uuid, deadlines: Patience) -> Result<Self, NodeError> {
        let (path, uuid) = (path.to_path_buf(), uuid.clone());
        let work = move || {
            let (git, settings) = Settings::read(&path, &uuid)?;
            let branch = Branch::open(git)?;
            let committing = AtomicBool::new(false);
            let over = Mutex::default();
            let repository = Repository { path, uuid, settings, branch, over, committing, deadlines };
            repository.clean();
            Ok(Self(Arc::new(repository)))
        };
        disk::within(deadlines.connect, work).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Repository) -> Result<T, NodeError> + Send + 'static,
    ) -> Result<T, NodeError> {
        let repository = Arc::clone(&self.0);
        disk::within(self.0.deadlines.answer, move || work(&repository)).await
    }
}

impl Repository {
    fn annex(&self) -> PathBuf {
        self.branch.git().dir().join("annex")
    }

    /// Reads the settings again: whoever changes them expects them to hold from then on. Blocks.
    fn current(&self) -> Result<Settings, NodeError> {
        Ok(Settings::read(&self.path, &self.uuid)?.1)
    }

    /// Records in the repository's own location log whether it has a key. Blocks.
    fn record(&self, key: &Key, status: Status) -> Result<(), NodeError> {
        self.branch.change(&[key.branch_path(".log")], |_, content| {
            // What was never recorded as present needs no record that it is missing.
            if status != Status::Present && !LocationLog::parse(content).present().any(|uuid| uuid == self.uuid) {
                return None;
            }
            record_locations(content, [(&self.uuid, status)], crate::clock::branch_now())
        })?;
        Ok(())
    }

    /// Commits the journal after a while. Whoever is killed before leaves it to git-annex or to the next commit.
    fn commit_soon(self: &Arc<Self>) {
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

#[async_trait]
impl Node for AnnexNode {
    async fn present(&self, key: &Key) -> Result<bool, NodeError> {
        let key = key.clone();
        self.ask(move |repository| Ok(repository.find(&key)?.is_some())).await
    }

    async fn get(&self, key: &Key, offset: u64) -> Result<Option<Content>, NodeError> {
        let key = key.clone();
        let open = move |repository: &Repository| {
            let Some((path, size)) = repository.find(&key)? else { return Ok(None) };
            match File::open(&path) {
                Ok(file) => Ok(Some((path, file, size))),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(NodeError::at(&path)(error)),
            }
        };
        let Some((path, file, size)) = self.ask(open).await? else { return Ok(None) };
        let from = offset.min(size);
        let part = Part { path, file: Some(file), from, size: size - from };
        let stream = disk::stream(vec![part], self.0.deadlines.progress);
        Ok(Some(Content { size, stream, verified: false }))
    }

    async fn put(&self, key: &Key) -> Result<Box<dyn Upload>, NodeError> {
        let (repository, key) = (Arc::clone(&self.0), key.clone());
        let open = move || upload::Receiving::open(repository, key);
        Ok(Box::new(disk::within(self.0.deadlines.answer, open).await?))
    }

    async fn remove(&self, key: &Key) -> Result<(), NodeError> {
        let key = key.clone();
        self.ask(move |repository| repository.remove(&key)).await?;
        self.0.commit_soon();
        Ok(())
    }

    async fn set_aside(&self, key: &Key) -> Result<(), NodeError> {
        let key = key.clone();
        self.ask(move |repository| repository.condemn(&key)).await?;
        self.0.commit_soon();
        Ok(())
    }

    async fn space(&self) -> Result<Option<Space>, NodeError> {
        self.ask(|repository| {
            repository.current()?;
            let (total, free) = disk::space(&repository.annex()).map_err(NodeError::at(&repository.path))?;
            Ok(Some(Space { total, free: free.saturating_sub(repository.settings.reserve) }))
        })
        .await
    }

    async fn lock(&self, key: &Key) -> Result<Option<Box<dyn Hold>>, NodeError> {
        let (repository, key) = (Arc::clone(&self.0), key.clone());
        let held = disk::within(self.0.deadlines.answer, move || lock::Held::take(repository, &key)).await?;
        Ok(held.map(|held| Box::new(held) as Box<dyn Hold>))
    }
}

impl From<BranchError> for NodeError {
    fn from(error: BranchError) -> Self {
        Self::Failed(error.to_string())
    }
}
