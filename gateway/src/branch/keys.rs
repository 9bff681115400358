//! The keys that location logs place in a repository.

use annex_protocol::key::Key;
use annex_protocol::log::{LocationLog, LogKind};
use annex_protocol::uuid::Uuid;

use super::{Branch, BranchError};

impl Branch {
    /// Calls `visit` with each key that has a location log, and where that places it.
    ///
    /// What the journal holds is committed first.
    pub fn for_each_key(
        &self,
        mut visit: impl FnMut(Key, &LocationLog) -> Result<(), BranchError>,
    ) -> Result<(), BranchError> {
        self.commit()?;
        let Some(tip) = self.tip()? else { return Ok(()) };
        let mut failed = Ok(());
        let is_location = |path: &[u8]| matches!(LogKind::of(path), LogKind::Location(_));
        self.git.for_each_file(tip, is_location, |path, content| {
            if let (Ok(()), LogKind::Location(key)) = (&failed, LogKind::of(path)) {
                failed = visit(key, &LocationLog::parse(content));
            }
        })?;
        failed
    }

    /// Returns how many keys location logs place in a repository.
    pub fn count_keys(&self, uuid: &Uuid) -> Result<usize, BranchError> {
        let mut keys = 0;
        self.for_each_key(|_, locations| {
            keys += usize::from(locations.present().any(|present| present == *uuid));
            Ok(())
        })?;
        Ok(keys)
    }
}
