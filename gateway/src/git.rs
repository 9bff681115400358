//! Git behind one door: objects and refs through gix, network services and configuration through the git program.
//!
//! Everything here is synchronous; callers on the runtime use `spawn_blocking`.

use std::fs::File;
use std::path::{Path, PathBuf};

use gix::objs::tree::EntryKind;

mod damaged;
mod index;
pub mod program;
mod recent;
mod reference;
pub mod tree;

pub use gix::ObjectId;

use recent::Recent;

/// A git repository.
#[derive(Clone)]
pub struct Git {
    repository: gix::ThreadSafeRepository,
    dir: PathBuf,
    recent: Recent,
}

/// What went wrong with a git repository.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// An object or a reference could not be read or written.
    #[error("{}: {action}: {cause}", dir.display())]
    Repository {
        /// The git directory.
        dir: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What git said.
        cause: String,
    },
    /// Somebody else moved the reference since it was read.
    #[error("{}: {name} was changed by another process", dir.display())]
    Moved {
        /// The git directory.
        dir: PathBuf,
        /// The reference.
        name: String,
    },
    /// The git program could not be run, or said no.
    #[error("git {command}: {cause}")]
    Program {
        /// The subcommand.
        command: String,
        /// What it said.
        cause: String,
    },
}

/// Objects read again and again (trees of the git-annex branch) are kept decoded, up to this many bytes a handle.
const OBJECT_CACHE_BYTES: usize = 16 << 20;

impl Git {
    /// Opens the repository at `dir`, which must be its git directory or work tree itself.
    pub fn open(dir: &Path) -> Result<Self, GitError> {
        let options = gix::open::Options::isolated().open_path_as_is(false).bail_if_untrusted(false);
        let fail = |cause: String| GitError::Repository { dir: dir.into(), action: "opening the repository", cause };
        let repository = gix::ThreadSafeRepository::open_opts(dir, options).map_err(|error| fail(error.to_string()))?;
        let dir = repository.git_dir().to_path_buf();
        Ok(Self { repository, dir, recent: Recent::default() })
    }

    /// Returns the git directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the work tree; a bare repository has none.
    pub fn work_tree(&self) -> Option<PathBuf> {
        self.handle().workdir().map(Path::to_path_buf)
    }

    /// Returns a value of the repository's own configuration, as it was when the repository was opened.
    pub fn config(&self, name: &str) -> Option<String> {
        Some(self.handle().config_snapshot().string(name)?.to_string())
    }

    /// Returns the commit that a reference points to, or `None` if there is no such reference.
    pub fn tip(&self, name: &str) -> Result<Option<ObjectId>, GitError> {
        let handle = self.handle();
        let found = handle.try_find_reference(name).map_err(|e| self.fail("reading a reference", &e))?;
        let Some(mut reference) = found else { return Ok(None) };
        if let Some(commit) = reference.target().try_id().filter(|id| self.recent.knows((*id).to_owned())) {
            return Ok(Some(commit.to_owned()));
        }
        let id = reference.peel_to_id().map_err(|e| self.fail("reading a reference", &e))?;
        Ok(Some(id.detach()))
    }

    /// Returns a blob's bytes.
    pub fn read_blob(&self, id: ObjectId) -> Result<Vec<u8>, GitError> {
        self.blob(&self.handle(), id)
    }

    /// Tells whether a file of the index has this content; a bare repository has no index. Staged files count, others do not.
    pub fn index_has(&self, content: &[u8]) -> Result<bool, GitError> {
        let id = gix::objs::compute_hash(self.handle().object_hash(), gix::objs::Kind::Blob, content)
            .map_err(|e| self.fail("hashing", &e))?;
        let fail = |error: std::io::Error| self.fail("reading the index", &error);
        for entry in std::fs::read_dir(&self.dir).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name();
            // A split index keeps most of its entries in a second file.
            let split = name.as_encoded_bytes().starts_with(b"sharedindex.");
            if (split || name == "index") && index::mentions(&entry.path(), id.as_bytes()).map_err(fail)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Tells whether `ancestor` is `commit` or comes before it.
    pub fn is_ancestor(&self, ancestor: ObjectId, commit: ObjectId) -> Result<bool, GitError> {
        if ancestor == commit {
            return Ok(true);
        }
        let handle = self.handle();
        let bases = handle.merge_bases_many(ancestor, &[commit]);
        let bases = bases.map_err(|e| self.fail("finding a merge base", &e))?;
        Ok(bases.iter().any(|base| base.detach() == ancestor))
    }

    /// Writes a commit object. `seconds` is the wall clock.
    pub fn commit(
        &self,
        tree: ObjectId,
        parents: &[ObjectId],
        message: &str,
        seconds: u64,
    ) -> Result<ObjectId, GitError> {
        let time = gix::date::Time { seconds: i64::try_from(seconds).unwrap_or(i64::MAX), offset: 0 };
        let author = gix::actor::Signature { name: "annex-keep".into(), email: "annex-keep".into(), time };
        let commit = gix::objs::Commit {
            tree,
            parents: parents.iter().copied().collect(),
            committer: author.clone(),
            author,
            encoding: None,
            message: message.into(),
            extra_headers: Vec::new(),
        };
        let handle = self.handle();
        let id = handle.write_object(&commit).map_err(|e| self.fail("writing a commit", &e))?;
        Ok(id.detach())
    }

    /// Makes everything written to this repository, whose directory is `dir`, durable.
    fn sync(&self, dir: &File, action: &'static str) -> Result<(), GitError> {
        nix::unistd::syncfs(dir).map_err(|error| self.fail(action, &error))
    }

    fn handle(&self) -> gix::Repository {
        let mut handle = self.repository.to_thread_local();
        handle.object_cache_size_if_unset(OBJECT_CACHE_BYTES);
        handle
    }

    fn blob(&self, handle: &gix::Repository, id: ObjectId) -> Result<Vec<u8>, GitError> {
        let mut blob = handle.find_blob(id).map_err(|e| self.fail("reading a blob", &e))?;
        Ok(blob.take_data())
    }

    fn tree_of<'a>(&self, handle: &'a gix::Repository, commit: ObjectId) -> Result<gix::Tree<'a>, GitError> {
        let commit = handle.find_commit(commit).map_err(|e| self.fail("reading a commit", &e))?;
        commit.tree().map_err(|e| self.fail("reading a tree", &e))
    }

    fn fail(&self, action: &'static str, cause: &dyn std::error::Error) -> GitError {
        let mut text = cause.to_string();
        let mut source = cause.source();
        while let Some(inner) = source {
            text = format!("{text}: {inner}");
            source = inner.source();
        }
        GitError::Repository { dir: self.dir.clone(), action, cause: text }
    }
}

/// The kind of every file of the git-annex branch: mode 100644.
const FILE: EntryKind = EntryKind::Blob;
