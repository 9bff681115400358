//! How much each repository holds, by the location logs.

use std::collections::HashMap;

use annex_protocol::key::Key;
use annex_protocol::log::{Description, FieldLog, LocationLog, LogKind};
use annex_protocol::uuid::Uuid;

use super::journal::Stamp;
use super::{Branch, BranchError};
use crate::git::ObjectId;

/// The sum of the sizes of all keys that location logs place in each repository, in bytes.
///
/// Built once from the whole branch, then kept current by what changed between two of its commits, and by what waits in
/// the journal.
#[derive(Debug, Default)]
pub struct Sizes {
    at: Option<ObjectId>,
    bytes: HashMap<Uuid, i128>,
    /// Journal files that are counted in `bytes`, by branch path.
    pending: HashMap<Vec<u8>, Pending>,
}

/// A journal file that is counted.
#[derive(Debug)]
struct Pending {
    stamp: Stamp,
    added: Counted,
}

/// What a file adds to the bytes in each repository.
type Counted = Vec<(Uuid, i128)>;

/// Journal files from which on a commit costs less than looking at each of them again and again.
const COMMIT_FROM: usize = 500;

impl Sizes {
    /// Returns the bytes in a repository; `None` if nobody ever described it or placed a key in it.
    pub fn of(&self, uuid: &Uuid) -> Option<u64> {
        self.bytes.get(uuid).map(|bytes| u64::try_from(*bytes).unwrap_or(0))
    }

    fn count(&mut self, path: &[u8], content: &[u8], sign: i128) {
        self.add(&counted(path, content), sign);
    }

    fn add(&mut self, counted: &[(Uuid, i128)], sign: i128) {
        for (uuid, size) in counted {
            *self.bytes.entry(uuid.clone()).or_default() += sign * size;
        }
    }
}

impl Branch {
    /// Brings `sizes` to what the branch says now.
    pub fn update_sizes(&self, sizes: &mut Sizes) -> Result<(), BranchError> {
        let lock = self.journal.lock()?;
        let mut journalled = self.journal.stamps(&lock)?;
        if journalled.len() > COMMIT_FROM {
            self.commit_locked(&lock, Vec::new(), "update")?;
            journalled.clear();
        }
        let tip = self.tip()?;
        if sizes.at != tip || tip.is_none() {
            // What is pending was counted against the commit before.
            for file in std::mem::take(&mut sizes.pending).into_values() {
                sizes.add(&file.added, -1);
            }
            self.count_commits(sizes, tip)?;
        }
        self.count_journal(sizes, tip, journalled)?;
        drop(lock);
        // As for git-annex, a repository that is known but empty has a size, of nothing.
        for (uuid, _) in FieldLog::<Description>::parse(&self.read(b"uuid.log")?).iter() {
            sizes.bytes.entry(uuid.clone()).or_default();
        }
        Ok(())
    }

    /// Counts what the branch's commits changed.
    fn count_commits(&self, sizes: &mut Sizes, tip: Option<ObjectId>) -> Result<(), BranchError> {
        let Some(tip) = tip else { return Ok(()) };
        match sizes.at {
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
        sizes.at = Some(tip);
        Ok(())
    }

    /// Counts what waits in the journal in place of what the commit `tip` has in the same files.
    fn count_journal(
        &self,
        sizes: &mut Sizes,
        tip: Option<ObjectId>,
        journalled: Vec<(Vec<u8>, Stamp)>,
    ) -> Result<(), BranchError> {
        let mut before = std::mem::take(&mut sizes.pending);
        for (path, stamp) in journalled {
            if !matches!(LogKind::of(&path), LogKind::Location(_)) {
                continue;
            }
            match before.remove(&path) {
                Some(file) if file.stamp == stamp => drop(sizes.pending.insert(path, file)),
                known => {
                    if let Some(file) = known {
                        sizes.add(&file.added, -1);
                    }
                    let committed = tip.map(|tip| self.git.read_file(tip, &path)).transpose()?.flatten();
                    let mut added = counted(&path, &self.journal.read(&path)?.unwrap_or_default());
                    let replaced = counted(&path, &committed.unwrap_or_default());
                    added.extend(replaced.into_iter().map(|(uuid, size)| (uuid, -size)));
                    sizes.add(&added, 1);
                    sizes.pending.insert(path, Pending { stamp, added });
                }
            }
        }
        for file in before.into_values() {
            sizes.add(&file.added, -1);
        }
        Ok(())
    }
}

/// Returns what a location log adds to the sizes of repositories; other files add nothing.
fn counted(path: &[u8], content: &[u8]) -> Counted {
    let LogKind::Location(key) = LogKind::of(path) else { return Vec::new() };
    let size = i128::from(size(&key));
    LocationLog::parse(content).present().map(|uuid| (uuid, size)).collect()
}

/// A key without a size counts as nothing, as for git-annex.
fn size(key: &Key) -> u64 {
    key.size().unwrap_or(0)
}
