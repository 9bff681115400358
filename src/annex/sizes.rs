//! How much each repository holds, by the location logs.

use std::collections::HashMap;

use annex_protocol::key::Key;
use annex_protocol::log::{Description, FieldLog, LocationLog, LogKind};
use annex_protocol::uuid::Uuid;

use super::{Branch, BranchError};
use crate::git::ObjectId;

/// The sum of the sizes of all keys that location logs place in each repository, in bytes.
///
/// Built once from the whole branch, then kept current by what changed between two of its commits.
#[derive(Debug, Default)]
pub struct Sizes {
    at: Option<ObjectId>,
    bytes: HashMap<Uuid, i128>,
}

impl Sizes {
    /// Returns the bytes in a repository; `None` if nobody ever described it or placed a key in it.
    pub fn of(&self, uuid: &Uuid) -> Option<u64> {
        self.bytes.get(uuid).map(|bytes| u64::try_from(*bytes).unwrap_or(0))
    }

    fn count(&mut self, path: &[u8], content: &[u8], sign: i128) {
        let LogKind::Location(key) = LogKind::of(path) else { return };
        let size = i128::from(size(&key));
        for uuid in LocationLog::parse(content).present() {
            *self.bytes.entry(uuid).or_default() += sign * size;
        }
    }
}

impl Branch {
    /// Brings `sizes` to what the branch says now.
    pub fn update_sizes(&self, sizes: &mut Sizes) -> Result<(), BranchError> {
        // What the journal holds counts, too: committing it puts everything in one place.
        self.commit()?;
        let Some(tip) = self.tip()? else { return Ok(()) };
        match sizes.at {
            Some(at) if at == tip => return Ok(()),
            Some(at) => {
                for difference in self.git.differences(Some(at), tip)? {
                    for (blob, sign) in [(difference.ours, -1), (difference.theirs, 1)] {
                        if let Some(blob) = blob {
                            sizes.count(&difference.path, &self.git.read_blob(blob)?, sign);
                        }
                    }
                }
            }
            None => {
                let wanted = |path: &[u8]| matches!(LogKind::of(path), LogKind::Location(_));
                self.git.for_each_file(tip, wanted, |path, content| sizes.count(path, content, 1))?;
            }
        }
        // As for git-annex, a repository that is known but empty has a size, of nothing.
        for (uuid, _) in FieldLog::<Description>::parse(&self.read(b"uuid.log")?).iter() {
            sizes.bytes.entry(uuid.clone()).or_default();
        }
        sizes.at = Some(tip);
        Ok(())
    }
}

/// A key without a size counts as nothing, as for git-annex.
fn size(key: &Key) -> u64 {
    key.size().unwrap_or(0)
}
