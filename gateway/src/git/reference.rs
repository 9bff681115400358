//! Moving a reference so that neither a kill nor a power loss at any moment is in the way of the next move.
//!
//! Git locks a reference by making `NAME.lock` beside it; a process that is killed leaves that behind, and then nobody
//! can move the reference any more. Here the lock is a second name of a file that its owner holds locked as long as it
//! lives, so that others can tell whether it still does.
//!
//! Source: git's documentation of `git update-ref`, and of `core.filesRefLockTimeout` for how long git itself waits.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use keep_store::base::disk::{FileLock, Mode, look, make_folders};

use super::{Git, GitError, ObjectId};

/// What the names of files begin with that wait to become a reference, in the git directory.
const WAITING: &str = "annex-keep-ref.";

/// How long a lock of somebody who lives is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often it is looked whether a lock is gone.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Git holds the lock of a reference for milliseconds. One that is so old was left behind by a process that was killed.
const LEFT_BEHIND: Duration = Duration::from_secs(600);

impl Git {
    /// Points the branch `name` to `new` if it still points to `old` (`None`: if it still does not exist).
    ///
    /// All objects are on disk before the reference moves, and the reference is when this returns.
    ///
    /// Missing folders on the way to a reference are made. The reference is reached from the directory that is open
    /// here. So a repository whose disk is unmounted at that moment is not recreated below the mount point.
    pub fn move_ref(&self, name: &str, old: Option<ObjectId>, new: ObjectId) -> Result<(), GitError> {
        let dir = File::open(self.dir()).map_err(|error| self.fail("opening the repository", &error))?;
        self.sync(&dir, "writing objects")?;
        gix::refs::FullName::try_from(name).map_err(|error| self.fail("naming a reference", &error))?;
        let root = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()));
        let failed = |error: io::Error| self.fail("moving a reference", &error);
        let next = Next::write(&root, new).map_err(failed)?;
        let lock = next.lock(&root, name).map_err(failed)?;
        if Self::open(&root)?.tip(name)? != old {
            return Err(GitError::Moved { dir: self.dir().into(), name: name.to_owned() });
        }
        lock.put().map_err(failed)?;
        self.sync(&dir, "moving a reference")
    }
}

/// What a reference is to say next, in a file that is locked while this process needs it.
struct Next {
    path: PathBuf,
    _lives: FileLock,
}

/// The lock of a reference. Unless it becomes the reference, it goes when this is dropped.
struct RefLock<'a> {
    reference: PathBuf,
    lock: PathBuf,
    /// Device and inode of the lock.
    file: (u64, u64),
    _next: &'a Next,
}

impl Next {
    fn write(root: &Path, id: ObjectId) -> io::Result<Self> {
        // A name that nobody had before: what a killed process left may be the reference itself by another name.
        let path = root.join(format!("{WAITING}{}", uuid::Uuid::new_v4()));
        let next = Self { _lives: FileLock::wait(&path)?, path };
        let mut file = File::create(&next.path)?;
        writeln!(file, "{}", id.to_hex())?;
        file.sync_all()?;
        Ok(next)
    }

    fn lock(&self, root: &Path, name: &str) -> io::Result<RefLock<'_>> {
        let reference = root.join(name);
        let lock = root.join(format!("{name}.lock"));
        let began = Instant::now();
        loop {
            if let Some(folder) = reference.parent() {
                make_folders(root, folder)?;
            }
            match link(&self.path, &lock) {
                Ok(()) => {
                    let file = number(&fs::metadata(&lock)?);
                    return Ok(RefLock { reference, lock, file, _next: self });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    if !self.break_left_behind(root, &lock)? {
                        if began.elapsed() >= PATIENCE {
                            let text = format!("{name} is locked by another process");
                            return Err(io::Error::new(ErrorKind::ResourceBusy, text));
                        }
                        thread::sleep(LOOK_EVERY);
                    }
                }
                // Git removes folders that have become empty.
                Err(error) if error.kind() == ErrorKind::NotFound && began.elapsed() < PATIENCE => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes a lock whose owner does not live any more; false if it seems to be held.
    fn break_left_behind(&self, root: &Path, lock: &Path) -> io::Result<bool> {
        // One process at a time, so that none removes what another has just made in its place.
        let _alone = FileLock::wait(&root.join("annex-keep-refs.lck"))?;
        let Some(found) = look(lock)? else { return Ok(true) };
        let mut owned = false;
        for entry in fs::read_dir(root)? {
            let path = entry?.path();
            let waits = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(WAITING.as_bytes()));
            if !waits {
                continue;
            }
            match FileLock::try_existing(&path, Mode::Exclusive) {
                Ok(None) => owned |= is_same(&found, &path),
                Ok(Some(_dead)) => {
                    if is_same(&found, &path) {
                        fs::remove_file(lock)?;
                        fs::remove_file(&path)?;
                        tracing::warn!("{}: the lock of a process that was killed is removed", lock.display());
                        return Ok(true);
                    }
                    fs::remove_file(&path)?;
                }
                // It has just gone.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        // By the file system's own clock: the waiting file was written just now.
        let age = fs::metadata(&self.path)?.modified()?.duration_since(found.modified()?).unwrap_or_default();
        if owned || age < LEFT_BEHIND {
            return Ok(false);
        }
        fs::remove_file(lock)?;
        tracing::warn!("{}: a lock that is {} minutes old is removed", lock.display(), age.as_secs() / 60);
        Ok(true)
    }
}

impl RefLock<'_> {
    fn put(self) -> io::Result<()> {
        fs::rename(&self.lock, &self.reference)
    }
}

impl Drop for RefLock<'_> {
    fn drop(&mut self) {
        // After it became the reference there is nothing to remove, unless somebody else has the lock by now.
        if fs::metadata(&self.lock).is_ok_and(|lock| number(&lock) == self.file) {
            let _ = fs::remove_file(&self.lock);
        }
    }
}

impl Drop for Next {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Gives a file a second name; where the file system has no such thing, makes a copy, whose owner nobody can tell.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => {
            let mut copy = File::create_new(to)?;
            copy.write_all(&fs::read(from)?)?;
            copy.sync_all()
        }
        other => other,
    }
}

/// Tells whether `path` leads to the file that was found.
fn is_same(found: &fs::Metadata, path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|other| number(&other) == number(found))
}

/// Returns what tells a file from others, whatever its name: device and inode.
fn number(file: &fs::Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "refs/heads/git-annex";

    struct Fixture {
        git: Git,
        commit: ObjectId,
        _dir: tempfile::TempDir,
    }

    fn fixture() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::init_bare(&dir.path().join("r.git")).unwrap();
        let tree = git.edit_tree(None, &[(b"uuid.log".to_vec(), b"u1 one timestamp=1s\n".to_vec())]).unwrap();
        let commit = git.commit(tree, &[], "first", 1).unwrap();
        Fixture { git, commit, _dir: dir }
    }

    fn left_over(git: &Git) -> Vec<PathBuf> {
        let entries = fs::read_dir(git.dir()).unwrap().map(|entry| entry.unwrap().path());
        let mut paths: Vec<_> = entries.filter(|path| path.to_string_lossy().contains(WAITING)).collect();
        paths.extend([git.dir().join(format!("{NAME}.lock"))].into_iter().filter(|path| path.exists()));
        paths
    }

    #[test]
    fn a_reference_moves_only_from_where_it_is_thought_to_be() {
        let Fixture { git, commit, .. } = &fixture();
        git.move_ref(NAME, None, *commit).unwrap();
        assert_eq!(git.tip(NAME).unwrap(), Some(*commit));
        assert!(matches!(git.move_ref(NAME, None, *commit), Err(GitError::Moved { .. })));
        let next = git.commit(git.edit_tree(None, &[]).unwrap(), &[*commit], "second", 2).unwrap();
        git.move_ref(NAME, Some(*commit), next).unwrap();
        assert_eq!(git.tip(NAME).unwrap(), Some(next));
        git.move_ref("refs/heads/synced/deep/er", None, next).unwrap();
        assert!(git.move_ref("refs/heads/../x", None, next).is_err());
        assert_eq!(left_over(git), Vec::<PathBuf>::new());
    }

    #[test]
    fn the_lock_of_a_killed_process_is_removed() {
        let Fixture { git, commit, .. } = &fixture();
        let waiting = git.dir().join(format!("{WAITING}1.0"));
        let lives = FileLock::try_make(&waiting, Mode::Exclusive).unwrap().unwrap();
        fs::hard_link(&waiting, git.dir().join(format!("{NAME}.lock"))).unwrap();
        let refused = git.move_ref(NAME, None, *commit).unwrap_err().to_string();
        assert!(refused.contains("locked by another process"), "its owner lives: {refused}");
        drop(lives);
        git.move_ref(NAME, None, *commit).unwrap();
        assert_eq!(left_over(git), Vec::<PathBuf>::new());
    }

    #[test]
    fn what_a_killed_process_left_of_a_move_that_was_done_does_no_harm() {
        let Fixture { git, commit, .. } = &fixture();
        git.move_ref(NAME, None, *commit).unwrap();
        // It was killed before it removed its own name of what is the reference now. In a container, the next process
        // has the same number.
        for number in 0..100 {
            let left = git.dir().join(format!("{WAITING}{}.{number}", std::process::id()));
            fs::hard_link(git.dir().join(NAME), left).unwrap();
        }
        let next = git.commit(git.edit_tree(None, &[]).unwrap(), &[*commit], "second", 2).unwrap();
        assert!(matches!(git.move_ref(NAME, None, next), Err(GitError::Moved { .. })));
        assert_eq!(git.tip(NAME).unwrap(), Some(*commit));
    }

    #[test]
    fn a_lock_of_git_is_respected_until_it_is_old() {
        let Fixture { git, commit, .. } = &fixture();
        let lock = File::create_new(git.dir().join(format!("{NAME}.lock"))).unwrap();
        assert!(git.move_ref(NAME, None, *commit).is_err());
        let written = lock.metadata().unwrap().modified().unwrap();
        lock.set_modified(written - LEFT_BEHIND).unwrap();
        git.move_ref(NAME, None, *commit).unwrap();
    }

    #[test]
    fn many_at_once_move_it_one_after_the_other() {
        let Fixture { git, commit, .. } = &fixture();
        git.move_ref(NAME, None, *commit).unwrap();
        let tree = git.edit_tree(None, &[]).unwrap();
        thread::scope(|scope| {
            for number in 0..4u64 {
                scope.spawn(move || {
                    for round in 0..5 {
                        loop {
                            let tip = git.tip(NAME).unwrap();
                            let next = git.commit(tree, tip.as_slice(), "next", number * 100 + round).unwrap();
                            match git.move_ref(NAME, tip, next) {
                                Ok(()) => break,
                                Err(GitError::Moved { .. }) => {}
                                Err(error) => panic!("{error}"),
                            }
                        }
                    }
                });
            }
        });
        let mut count = 0;
        let mut at = git.tip(NAME).unwrap();
        while let Some(commit) = at {
            count += 1;
            at = git.handle().find_commit(commit).unwrap().parent_ids().next().map(|id| id.detach());
        }
        assert_eq!(count, 21, "no move is lost");
    }
}
