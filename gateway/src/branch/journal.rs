//! git-annex's journal: whole new versions of branch files, waiting to be committed.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use annex_protocol::log::{branch_path, journal_name, journal_round_trips};
use keep_store::base::disk::{make_folders, sync_folder};

use super::BranchError;
use super::lock::JournalLock;

/// The journal of one repository.
#[derive(Clone)]
pub(super) struct Journal {
    annex: PathBuf,
}

/// A journal file that was read for a commit.
pub(super) struct Staged {
    /// The branch path that it is for.
    pub(super) path: Vec<u8>,
    /// Its content, an incomplete last line cut off.
    pub(super) content: Vec<u8>,
    file: PathBuf,
}

/// Tells one version of a journal file from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    changed: (i64, i64),
    size: u64,
}

/// The longest file name of the usual file systems, in bytes.
const MAX_NAME: usize = 255;

/// Tells apart the temporary files of this process, in all repositories; nothing is decided by it.
static NEXT_TEMPORARY: AtomicU64 = AtomicU64::new(0);

impl Journal {
    /// Opens the journal of the repository with this git directory, making its folders.
    pub(super) fn open(git_dir: &Path) -> Result<Self, BranchError> {
        let journal = Self { annex: git_dir.join("annex") };
        for dir in [journal.dir(), journal.temporary_dir()] {
            make_folders(git_dir, &dir).map_err(|source| BranchError::Journal { path: dir, source })?;
        }
        Ok(journal)
    }

    pub(super) fn lock(&self) -> Result<JournalLock, BranchError> {
        let path = self.annex.join("journal.lck");
        JournalLock::take(&path).map_err(|source| BranchError::Journal { path, source })
    }

    /// Returns the pending version of a branch file.
    pub(super) fn read(&self, path: &[u8]) -> Result<Option<Vec<u8>>, BranchError> {
        let file = self.file(path);
        match std::fs::read(&file) {
            // No log becomes empty. Only a power loss makes a file so, and what was committed is still true.
            Ok(content) => Ok(Some(whole_lines(content)).filter(|content| !content.is_empty())),
            // A name that no file can have is held by no journal either.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename) => Ok(None),
            Err(source) => Err(BranchError::Journal { path: file, source }),
        }
    }

    /// Tells whether the journal can hold a version of this branch file; others are committed at once.
    pub(super) fn holds(path: &[u8]) -> bool {
        journal_round_trips(path) && journal_name(path).len() <= MAX_NAME
    }

    /// Puts a new version of a branch file into the journal: the old one or the new one is there, never a part.
    pub(super) fn write(&self, _lock: &JournalLock, path: &[u8], content: &[u8]) -> Result<(), BranchError> {
        let number = NEXT_TEMPORARY.fetch_add(1, Ordering::Relaxed);
        let temporary = self.temporary_dir().join(format!("{}-{number}", std::process::id()));
        let file = self.file(path);
        let written = std::fs::File::create(&temporary)
            .and_then(|mut out| out.write_all(content))
            .and_then(|()| std::fs::rename(&temporary, &file));
        written.map_err(|source| {
            let _ = std::fs::remove_file(&temporary);
            BranchError::Journal { path: file, source }
        })
    }

    /// Tells whether nothing is pending.
    pub(super) fn is_empty(&self) -> Result<bool, BranchError> {
        let dir = self.dir();
        let mut entries = std::fs::read_dir(&dir).map_err(|source| BranchError::Journal { path: dir, source })?;
        Ok(entries.next().is_none())
    }

    /// Returns all that is pending. Files without a whole line are removed.
    pub(super) fn staged(&self, _lock: &JournalLock) -> Result<Vec<Staged>, BranchError> {
        let dir = self.dir();
        let fail = |path: &Path| {
            let path = path.to_path_buf();
            move |source| BranchError::Journal { path, source }
        };
        let mut staged = Vec::new();
        for entry in std::fs::read_dir(&dir).map_err(fail(&dir))? {
            let entry = entry.map_err(fail(&dir))?;
            let file = entry.path();
            if !entry.file_type().map_err(fail(&file))?.is_file() {
                continue;
            }
            let content = whole_lines(std::fs::read(&file).map_err(fail(&file))?);
            if content.is_empty() {
                tracing::warn!("{}: removed, since no whole line of it is left", file.display());
                std::fs::remove_file(&file).map_err(fail(&file))?;
                continue;
            }
            staged.push(Staged { path: branch_path(&entry.file_name().into_vec()), content, file });
        }
        Ok(staged)
    }

    /// Returns what is pending, by branch path, without reading it: each version of a file has a stamp of its own.
    pub(super) fn stamps(&self, _lock: &JournalLock) -> Result<Vec<(Vec<u8>, Stamp)>, BranchError> {
        let dir = self.dir();
        let fail = |source| BranchError::Journal { path: dir.clone(), source };
        let mut stamps = Vec::new();
        for entry in std::fs::read_dir(&dir).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let found = entry.metadata().map_err(fail)?;
            if found.is_file() && found.len() > 0 {
                let stamp =
                    Stamp { inode: found.ino(), changed: (found.ctime(), found.ctime_nsec()), size: found.len() };
                stamps.push((branch_path(&entry.file_name().into_vec()), stamp));
            }
        }
        Ok(stamps)
    }

    /// Removes files that were committed. The lock has been held since they were read, so they are still the same.
    pub(super) fn remove(&self, _lock: &JournalLock, staged: &[Staged]) -> Result<(), BranchError> {
        for staged in staged {
            match std::fs::remove_file(&staged.file) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(BranchError::Journal { path: staged.file.clone(), source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns the file of what pushes said of our own nodes.
    pub(super) fn claims(&self) -> PathBuf {
        self.annex.join("annex-keep-claims")
    }

    /// Returns the file that says in which start of the machine the repository was last looked through for damage.
    pub(super) fn recovered_in(&self) -> PathBuf {
        self.annex.join("annex-keep-boot")
    }

    /// Notes that the repository was looked through since this start of the machine. All that was written before is
    /// durable when this returns.
    pub(super) fn mark_recovered(&self, _lock: &JournalLock, boot: &str) -> Result<(), BranchError> {
        let path = self.recovered_in();
        let temporary = self.temporary_dir().join("boot");
        let mark = || {
            let mut file = std::fs::File::create(&temporary)?;
            file.write_all(boot.as_bytes())?;
            nix::unistd::syncfs(&file)?;
            std::fs::rename(&temporary, &path)?;
            sync_folder(&self.annex)
        };
        mark().map_err(|source| BranchError::Journal { path: path.clone(), source })
    }

    fn dir(&self) -> PathBuf {
        self.annex.join("journal")
    }

    /// On the same file system as the journal but outside it: git-annex commits every file that it finds in there.
    fn temporary_dir(&self) -> PathBuf {
        self.annex.join("annex-keep-tmp")
    }

    fn file(&self, path: &[u8]) -> PathBuf {
        self.dir().join(OsStr::from_bytes(&journal_name(path)))
    }
}

/// A writer that was killed may have left a part of a line; a commit would glue it to the next one later.
fn whole_lines(mut content: Vec<u8>) -> Vec<u8> {
    let end = content.iter().rposition(|b| *b == b'\n').map_or(0, |last| last + 1);
    content.truncate(end);
    content
}
