//! What a power loss leaves of a journal and of unsynced objects, put right once after each start of the machine.
//!
//! Until they are committed, journal files and new objects are in the page cache only. Their names may reach the disk
//! without their bytes. An empty journal file would then win over the committed log, and an empty object would count as
//! written for ever.

use std::io::{self, ErrorKind};
use std::path::Path;

use annex_protocol::log::union;

use super::{Branch, BranchError};

impl Branch {
    /// Puts right what the last end of this machine left behind, unless that was done since.
    pub(super) fn recover(&self) -> Result<(), BranchError> {
        let path = self.journal.recovered_in();
        let fail = |source: io::Error| BranchError::Journal { path: path.clone(), source };
        let boot = self.clock.boot().map_err(fail)?;
        if is_in(&path, &boot) {
            return Ok(());
        }
        match self.recover_in(&boot, &path) {
            // A repository that cannot be written needs nothing for reading.
            Err(BranchError::Journal { source, .. })
                if matches!(source.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    fn recover_in(&self, boot: &str, path: &Path) -> Result<(), BranchError> {
        let lock = self.journal.lock()?;
        if is_in(path, boot) {
            return Ok(());
        }
        // The mark of the last start was synced with everything that was there before it.
        let since = std::fs::metadata(path).and_then(|mark| mark.modified()).ok();
        let damaged = self.git.set_damaged_aside(since)?;
        if !damaged.is_empty() {
            let (dir, count) = (self.git.dir().display(), damaged.len());
            tracing::warn!("{dir}: {count} objects were damaged by a power loss, and are set aside");
        }
        let tip = self.tip()?;
        for staged in self.journal.staged(&lock)? {
            let committed = tip.map(|tip| self.git.read_file(tip, &staged.path)).transpose()?.flatten();
            let committed = committed.unwrap_or_default();
            let merged = union(&staged.content, &committed).content(&staged.content, &committed).to_vec();
            self.journal.write(&lock, &staged.path, &merged)?;
        }
        self.journal.mark_recovered(&lock, boot)
    }
}

fn is_in(path: &Path, boot: &str) -> bool {
    std::fs::read(path).is_ok_and(|known| known == boot.as_bytes())
}
