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
//! A real git-annex can work in the repository at the same time. What only git-annex can do right is left to one that is
//! installed, or refused with a text that says so: repositories whose settings change how content is kept (see
//! `annex/settings.rs`), and keys that an unlocked file of the work tree has for its content. Source:
//! `docs/spec/git-annex-branch.md` §2 and §7, `docs/spec/p2p-protocol.md` §6, and what git-annex does.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use keep_store::base::clock::SharedClock;
use keep_store::base::disk::{self, Part};

use super::error::NodeError;
use super::patience::Patience;
use super::port::{Capacity, Content, Hold, Incoming, Node, Onward, Pieces, Space};

mod frozen;
pub mod kind;
mod lock;
mod objects;
mod obstacle;
mod repository;
mod settings;
mod unlocked;
mod upload;

use obstacle::Obstacle;
use repository::Repository;

/// A git-annex repository on this machine.
pub struct AnnexNode {
    repository: Arc<Repository>,
    /// The same repository by way of git-annex itself.
    git_annex: Option<Arc<dyn Node>>,
}

impl AnnexNode {
    /// Opens the repository at `path`, whose `annex.uuid` must be `uuid`. What is written there gets its time from `clock`.
    pub async fn open(path: &Path, uuid: &Uuid, deadlines: Patience, clock: &SharedClock) -> Result<Self, NodeError> {
        let repository = Self::open_natively(path, uuid, deadlines, clock).await?;
        Ok(Self { repository, git_annex: None })
    }

    /// Opens the repository; `git_annex` is the same by way of git-annex itself, which does what only it can do right.
    pub async fn open_beside(
        path: &Path,
        uuid: &Uuid,
        deadlines: Patience,
        clock: &SharedClock,
        git_annex: Arc<dyn Node>,
    ) -> Result<Arc<dyn Node>, NodeError> {
        match Self::open_natively(path, uuid, deadlines, clock).await {
            Ok(repository) => Ok(Arc::new(Self { repository, git_annex: Some(git_annex) })),
            Err(Obstacle::GitAnnex(why)) => {
                tracing::info!("git-annex itself is used: {why}");
                Ok(git_annex)
            }
            Err(Obstacle::Failed(error)) => Err(error),
        }
    }

    async fn open_natively(
        path: &Path,
        uuid: &Uuid,
        deadlines: Patience,
        clock: &SharedClock,
    ) -> Result<Arc<Repository>, Obstacle> {
        let (path, uuid, clock) = (path.to_path_buf(), uuid.clone(), Arc::clone(clock));
        let work = move || {
            let repository = Repository::open(&path, &uuid, deadlines, clock)?;
            repository.clean();
            Ok(Arc::new(repository))
        };
        disk::within(deadlines.connect, work).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Repository>) -> Result<T, Obstacle> + Send + 'static,
    ) -> Result<T, Obstacle> {
        let repository = Arc::clone(&self.repository);
        disk::within(self.repository.deadlines.answer, move || work(&repository)).await
    }

    /// Returns the way by git-annex itself, if that is what is needed and there is one.
    fn git_annex<T>(&self, outcome: Result<T, Obstacle>) -> Result<Result<T, &dyn Node>, NodeError> {
        match (outcome, &self.git_annex) {
            (Ok(done), _) => Ok(Ok(done)),
            (Err(Obstacle::GitAnnex(_)), Some(node)) => Ok(Err(&**node)),
            (Err(obstacle), _) => Err(obstacle.into()),
        }
    }
}

#[async_trait]
impl Node for AnnexNode {
    async fn present(&self, key: &Key) -> Result<bool, NodeError> {
        let asked = key.clone();
        let found = self.ask(move |repository| Ok(repository.find(&asked)?.is_some())).await;
        match self.git_annex(found)? {
            Ok(present) => Ok(present),
            Err(git_annex) => git_annex.present(key).await,
        }
    }

    async fn get(&self, key: &Key, offset: u64) -> Result<Option<Content>, NodeError> {
        let asked = key.clone();
        let open = move |repository: &Arc<Repository>| {
            let Some((path, size)) = repository.find(&asked)? else { return Ok(None) };
            match File::open(&path) {
                Ok(file) => Ok(Some((path, file, size))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(NodeError::at(&path)(error).into()),
            }
        };
        let opened = self.ask(open).await;
        let opened = match self.git_annex(opened)? {
            Ok(opened) => opened,
            Err(git_annex) => return git_annex.get(key, offset).await,
        };
        let Some((path, file, size)) = opened else { return Ok(None) };
        let from = offset.min(size);
        let part = Part { path, file: Some(file), from, size: size - from };
        let stream = disk::stream(vec![part], self.repository.deadlines.progress);
        Ok(Some(Content { size, stream, verified: false }))
    }

    async fn put(&self, key: &Key, file: &AssociatedFile) -> Result<Incoming, NodeError> {
        let asked = key.clone();
        let opened = self.ask(move |repository| upload::Receiving::open(Arc::clone(repository), asked)).await;
        match self.git_annex(opened)? {
            Ok(upload) => {
                let kept = upload.offset();
                Ok(Incoming::Pieces(Pieces { upload: Box::new(upload), kept, takes_blocks: false }))
            }
            Err(git_annex) => git_annex.put(key, file).await,
        }
    }

    async fn remove(&self, key: &Key) -> Result<Vec<Uuid>, NodeError> {
        let asked = key.clone();
        let removed = self.ask(move |repository| repository.remove(&asked)).await;
        match self.git_annex(removed)? {
            Ok(()) => self.repository.commit_soon(),
            Err(git_annex) => return git_annex.remove(key).await,
        }
        Ok(Vec::new())
    }

    /// Content that git-annex itself takes out of use is gone: it cannot keep it aside.
    async fn set_aside(&self, key: &Key) -> Result<(), NodeError> {
        let asked = key.clone();
        let condemned = self.ask(move |repository| repository.condemn(&asked)).await;
        match self.git_annex(condemned)? {
            Ok(()) => self.repository.commit_soon(),
            Err(git_annex) => return git_annex.set_aside(key).await,
        }
        Ok(())
    }

    async fn lock(&self, key: &Key) -> Result<Option<Box<dyn Hold>>, NodeError> {
        let asked = key.clone();
        let held = self.ask(move |repository| lock::Held::take(Arc::clone(repository), &asked)).await;
        match self.git_annex(held)? {
            Ok(held) => Ok(held.map(|held| Box::new(held) as Box<dyn Hold>)),
            Err(git_annex) => git_annex.lock(key).await,
        }
    }

    async fn capacity(&self) -> Result<Capacity, NodeError> {
        let looked = self.ask(|repository| {
            let settings = repository.current()?;
            Ok(Space::at(&repository.annex())?.above(settings.reserve))
        });
        let looked = looked.await;
        match self.git_annex(looked)? {
            Ok(space) => Ok(Capacity { space: Some(space), held: None }),
            Err(git_annex) => git_annex.capacity().await,
        }
    }

    /// It is a repository on this machine, and leads nowhere.
    fn onward(&self, _gateways: &BTreeSet<Uuid>) -> Onward {
        Onward::AsIs
    }
}
