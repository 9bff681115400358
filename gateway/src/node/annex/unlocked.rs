//! Unlocked files: files of the work tree that have a key's content themselves.
//!
//! When content comes or goes, git-annex writes to them, to the index and to its own database. That is left to git-annex.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use annex_protocol::key::Key;
use rusqlite::{Connection, OpenFlags};

use super::obstacle::Obstacle;
use super::repository::Repository;
use crate::branch::BranchError;
use crate::node::error::NodeError;

/// How long git-annex's database may be locked.
const BUSY: Duration = Duration::from_secs(10);

impl Repository {
    /// Fails if an unlocked file has the key; with `traces`, also if git-annex remembers one. Blocks.
    ///
    /// Looked for where git-annex looks, its database, and in the index: git-annex puts into its database what others
    /// did to the index only when it next needs it.
    pub(super) fn refuse_unlocked(&self, key: &Key, traces: bool) -> Result<(), Obstacle> {
        let Some(tree) = self.branch.git().work_tree() else { return Ok(()) };
        let database = self.annex().join("keysdb/db");
        let failed = |error| NodeError::Failed(format!("{}: {error}", database.display()));
        let (files, remembered) =
            if database.exists() { known(&database, key).map_err(failed)? } else { (Vec::new(), false) };
        let regular = |file: &&Vec<u8>| {
            let found = std::fs::symlink_metadata(tree.join(OsStr::from_bytes(file)));
            found.is_ok_and(|found| found.is_file())
        };
        let file = match files.iter().find(regular) {
            Some(file) => format!("the unlocked file {}", String::from_utf8_lossy(file)),
            None if traces && remembered => "a file that is or was unlocked".to_owned(),
            None if self.branch.git().index_has(&pointer(key)).map_err(BranchError::from)? => {
                "an unlocked file".to_owned()
            }
            None => return Ok(()),
        };
        Err(Obstacle::GitAnnex(format!(
            "{}: {file} of the work tree has this content, so only git-annex itself may store or remove it",
            self.path.display()
        )))
    }
}

/// Returns what git has in place of an unlocked file's content.
fn pointer(key: &Key) -> Vec<u8> {
    [b"/annex/objects/", key.file_name().as_slice(), b"\n"].concat()
}

/// Returns the files that git-annex knows to have a key, and whether it remembers how its content looked on disk.
fn known(database: &PathBuf, key: &Key) -> rusqlite::Result<(Vec<Vec<u8>>, bool)> {
    let db =
        Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(BUSY)?;
    // Databases of different ages hold text or bytes.
    let both = "key = ?1 OR key = CAST(?1 AS TEXT)";
    let mut query = db.prepare(&format!("SELECT CAST(file AS BLOB) FROM associated WHERE {both}"))?;
    let files = query.query_map([key.as_bytes()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut query = db.prepare(&format!("SELECT 1 FROM content WHERE {both}"))?;
    Ok((files, query.exists([key.as_bytes()])?))
}
