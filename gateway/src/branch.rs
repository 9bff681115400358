//! The git-annex branch of a hosted repository, read and written natively beside a running git-annex.
//!
//! Synchronous: callers on the runtime use `spawn_blocking`. Source: `docs/spec/git-annex-branch.md` §7 and §8.

use std::path::PathBuf;

use annex_protocol::log::Clock;
use keep_store::base::clock::SharedClock;

use crate::git::{Git, GitError, ObjectId};

pub mod claims;
mod journal;
mod keys;
mod lock;
pub mod merge;
pub mod placement;
mod recover;
pub mod sizes;

use journal::Journal;

/// The branch's full name.
pub const REF: &str = "refs/heads/git-annex";

/// How often a commit is tried again when somebody moves the branch meanwhile. Each try starts from the new tip.
const RACES: usize = 20;

/// The git-annex branch of one repository, journal included. Cloning is cheap.
#[derive(Clone)]
pub struct Branch {
    git: Git,
    journal: Journal,
    clock: SharedClock,
}

/// What went wrong with the branch.
#[derive(Debug, thiserror::Error)]
pub enum BranchError {
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A file of the journal could not be read or written, or its lock not be taken.
    #[error("{}: {source}", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The repository is set up in a way that this program does not write to.
    #[error("{0}")]
    Unsupported(String),
}

impl Branch {
    /// Opens the branch of a repository; it need not exist yet. What is written gets its time from `clock`.
    ///
    /// What a power loss left behind is put right first.
    pub fn open(git: Git, clock: SharedClock) -> Result<Self, BranchError> {
        let journal = Journal::open(git.dir())?;
        let branch = Self { git, journal, clock };
        branch.recover()?;
        Ok(branch)
    }

    /// Returns the time for a new line of the branch.
    ///
    /// `GIT_ANNEX_VECTOR_CLOCK` takes the place of the wall clock, as it does for git-annex.
    pub fn now(&self) -> Clock {
        std::env::var("GIT_ANNEX_VECTOR_CLOCK")
            .ok()
            .and_then(|text| Clock::parse(text.as_bytes()))
            .unwrap_or_else(|| Clock::from_seconds(self.clock.unix_seconds()))
    }

    /// Returns the repository.
    pub fn git(&self) -> &Git {
        &self.git
    }

    /// Returns the branch's newest commit.
    pub fn tip(&self) -> Result<Option<ObjectId>, BranchError> {
        Ok(self.git.tip(REF)?)
    }

    /// Returns a file as it is now: the journal's version if there is one, else the branch's, else nothing.
    pub fn read(&self, path: &[u8]) -> Result<Vec<u8>, BranchError> {
        if let Some(content) = self.journal.read(path)? {
            return Ok(content);
        }
        let Some(tip) = self.tip()? else { return Ok(Vec::new()) };
        Ok(self.git.read_file(tip, path)?.unwrap_or_default())
    }

    /// Changes files: `edit` is given each path with its content as it is now, and returns the new content, or `None`
    /// to leave it. The changes are in the journal afterwards: seen by all readers on this machine, committed by the
    /// next [`Branch::commit`] or by git-annex.
    pub fn change(
        &self,
        paths: &[Vec<u8>],
        mut edit: impl FnMut(&[u8], &[u8]) -> Option<Vec<u8>>,
    ) -> Result<bool, BranchError> {
        let lock = self.journal.lock()?;
        let mut direct = Vec::new();
        let mut changed = false;
        for path in paths {
            let Some(content) = edit(path, &self.read(path)?) else { continue };
            changed = true;
            if Journal::holds(path) {
                self.journal.write(&lock, path, &content)?;
            } else {
                direct.push((path.clone(), content));
            }
        }
        if !direct.is_empty() {
            self.commit_locked(&lock, direct, "update")?;
        }
        Ok(changed)
    }

    /// Commits what is in the journal, ours and git-annex's. Durable when this returns.
    pub fn commit(&self) -> Result<(), BranchError> {
        if self.journal.is_empty()? {
            return Ok(());
        }
        let lock = self.journal.lock()?;
        self.commit_locked(&lock, Vec::new(), "update").map(drop)
    }

    /// Commits the journal and then `files` on top, moves the branch there, and empties the journal.
    fn commit_locked(
        &self,
        lock: &lock::JournalLock,
        mut files: Vec<(Vec<u8>, Vec<u8>)>,
        message: &str,
    ) -> Result<Option<ObjectId>, BranchError> {
        let staged = self.journal.staged(lock)?;
        let mut edits: Vec<_> = staged.iter().map(|file| (file.path.clone(), file.content.clone())).collect();
        edits.append(&mut files);
        for _ in 0..RACES {
            let tip = self.tip()?;
            if edits.is_empty() {
                return Ok(tip);
            }
            let tree = self.git.edit_tree(tip, &edits)?;
            let parents: Vec<ObjectId> = tip.into_iter().collect();
            let commit = self.git.commit(tree, &parents, message, self.clock.unix_seconds())?;
            match self.git.move_ref(REF, tip, commit) {
                // A push moved the branch, which takes no lock. Journal files hold whole files, as git-annex writes
                // them, so what the push brought to the same paths is merged in before the next try.
                Err(GitError::Moved { .. }) => self.merge_moved(tip, &mut edits)?,
                Err(error) => return Err(error.into()),
                Ok(()) => {
                    self.journal.remove(lock, &staged)?;
                    return Ok(Some(commit));
                }
            }
        }
        Err(GitError::Moved { dir: self.git.dir().into(), name: REF.to_owned() }.into())
    }

    /// Adds to `edits` what came to their paths since `old` was the tip.
    fn merge_moved(&self, old: Option<ObjectId>, edits: &mut [(Vec<u8>, Vec<u8>)]) -> Result<(), BranchError> {
        let Some(tip) = self.tip()? else { return Ok(()) };
        for (path, content) in edits {
            let now = self.git.read_file(tip, path)?;
            let before = old.map(|old| self.git.read_file(old, path)).transpose()?.flatten();
            if let Some(now) = now.filter(|now| Some(now) != before.as_ref()) {
                *content = annex_protocol::log::union(content, &now).content(content, &now).to_vec();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
