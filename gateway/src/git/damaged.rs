//! Loose objects whose names are on the disk, and whose bytes are not: what a power loss leaves of unsynced files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

use keep_store::base::disk::make_folders;

use super::{Git, GitError, ObjectId};

/// Of larger objects only the beginning is looked at.
const LARGEST_READ: u64 = 64 << 20;

impl Git {
    /// Takes loose objects away that cannot be read, and returns which; `since` leaves out those that are older.
    ///
    /// An object whose file exists is not written again, by anybody. So one that is damaged has to go before it can come
    /// back with a commit or a push. Files with anything in them are kept in `annex-keep-damaged`.
    pub fn set_damaged_aside(&self, since: Option<SystemTime>) -> Result<Vec<ObjectId>, GitError> {
        let objects = self.handle().common_dir().join("objects");
        let fail = |error: io::Error| self.fail("looking for damaged objects", &error);
        let mut damaged = Vec::new();
        for folder in fs::read_dir(&objects).map_err(fail)? {
            let folder = folder.map_err(fail)?;
            let start = folder.file_name();
            let Some(start) = start.to_str().filter(|name| name.len() == 2) else { continue };
            for file in fs::read_dir(folder.path()).map_err(fail)? {
                let file = file.map_err(fail)?;
                let name = file.file_name();
                let id = name.to_str().and_then(|rest| ObjectId::from_hex(format!("{start}{rest}").as_bytes()).ok());
                let Some(id) = id else { continue };
                let found = file.metadata().map_err(fail)?;
                let is_old = since.is_some_and(|since| found.modified().is_ok_and(|written| written < since));
                if !is_old && self.is_damaged(id, &file.path(), found.len()).map_err(fail)? {
                    self.set_aside(id, &file.path(), found.len()).map_err(fail)?;
                    damaged.push(id);
                }
            }
        }
        Ok(damaged)
    }

    fn set_aside(&self, id: ObjectId, path: &Path, size: u64) -> io::Result<()> {
        if size == 0 {
            return fs::remove_file(path);
        }
        let aside = self.dir().join("annex-keep-damaged");
        make_folders(self.dir(), &aside)?;
        fs::rename(path, aside.join(id.to_string()))
    }

    fn is_damaged(&self, id: ObjectId, path: &Path, size: u64) -> io::Result<bool> {
        // A disk that cannot be read now says nothing about the object.
        let mut first = [0; 1];
        if File::open(path)?.read(&mut first)? == 0 {
            return Ok(true);
        }
        let handle = self.handle();
        let readable =
            if size > LARGEST_READ { handle.find_header(id).is_ok() } else { handle.find_object(id).is_ok() };
        Ok(!readable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_goes_and_can_be_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::init_bare(&dir.path().join("r.git")).unwrap();
        let content = b"u1 one timestamp=1s\n".repeat(500);
        let files = [(b"uuid.log".to_vec(), content), (b"other.log".to_vec(), b"1s 1\n".to_vec())];
        let tree = git.edit_tree(None, &files).unwrap();
        let commit = git.commit(tree, &[], "first", 1).unwrap();
        assert!(git.set_damaged_aside(None).unwrap().is_empty());
        let file = |id: ObjectId| {
            let hex = id.to_string();
            git.dir().join("objects").join(&hex[..2]).join(&hex[2..])
        };
        for cut in [0, 20] {
            fs::remove_file(file(tree)).unwrap();
            fs::write(file(tree), vec![0; cut]).unwrap();
            assert_eq!(Git::open(git.dir()).unwrap().set_damaged_aside(None).unwrap(), [tree]);
            assert_eq!(git.dir().join("annex-keep-damaged").join(tree.to_string()).exists(), cut > 0);
            assert_eq!(git.edit_tree(None, &files).unwrap(), tree);
            assert_eq!(Git::open(git.dir()).unwrap().read_file(commit, b"other.log").unwrap().unwrap(), b"1s 1\n");
        }
        fs::remove_file(file(tree)).unwrap();
        fs::write(file(tree), "").unwrap();
        let written = fs::metadata(file(tree)).unwrap().modified().unwrap();
        assert!(git.set_damaged_aside(Some(written + std::time::Duration::from_secs(1))).unwrap().is_empty());
    }
}
