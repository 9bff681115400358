//! What the git-annex branch says about where content goes.

use annex_protocol::log::{ClusterNodes, ConfigValue, FieldLog};
use annex_protocol::prefer::{Placement, PlacementLogs};
use sha2::{Digest, Sha256};

use super::{Branch, BranchError};
use crate::git::ObjectId;

/// The setting of git-annex that asks for secure hashes.
const SECURE_HASHES: &[u8] = b"annex.securehashesonly";

/// The logs that decide placement, parsed.
#[derive(Debug, Default)]
pub struct PlacementState {
    /// What each repository wants, and what that depends on.
    pub placement: Placement,
    /// The nodes of each cluster.
    pub clusters: FieldLog<ClusterNodes>,
    /// SHA-256 of all of it: another one means that something was changed.
    pub fingerprint: [u8; 32],
    /// Whether only keys with a cryptographically secure hash are stored: `annex.securehashesonly`.
    pub secure_hashes_only: bool,
    /// The commit that this was read from; `None` if a part of it was only in the journal.
    at: Option<ObjectId>,
}

impl PlacementState {
    /// Tells whether it may matter how much repositories hold: some have a maximum, which balanced placement looks at.
    pub fn depends_on_sizes(&self) -> bool {
        !self.placement.max_sizes.is_empty()
    }
}

const FILES: [&[u8]; 10] = [
    b"group.log",
    b"trust.log",
    b"maxsize.log",
    b"numcopies.log",
    b"preferred-content.log",
    b"required-content.log",
    b"group-preferred-content.log",
    b"remote.log",
    b"cluster.log",
    b"config.log",
];

impl Branch {
    /// Reads the placement logs as they are now; `None` if nothing can have changed since `earlier` was read.
    ///
    /// That costs a look at the branch's tip and at the journal.
    pub fn placement(&self, earlier: Option<&PlacementState>) -> Result<Option<PlacementState>, BranchError> {
        let tip = self.tip()?;
        let mut contents: [Vec<u8>; FILES.len()] = Default::default();
        let mut journalled = false;
        for (file, content) in FILES.iter().zip(&mut contents) {
            if let Some(pending) = self.journal.read(file)? {
                journalled = true;
                *content = pending;
            }
        }
        if !journalled && earlier.is_some_and(|earlier| earlier.at.is_some() && earlier.at == tip) {
            return Ok(None);
        }
        for (file, content) in FILES.iter().zip(&mut contents) {
            if let (true, Some(tip)) = (content.is_empty(), tip) {
                *content = self.git.read_file(tip, file)?.unwrap_or_default();
            }
        }
        let [
            group,
            trust,
            maxsize,
            numcopies,
            preferred_content,
            required_content,
            group_preferred_content,
            remote,
            cluster,
            config,
        ] = &contents;
        let placement = Placement::from_logs(PlacementLogs {
            group,
            trust,
            maxsize,
            numcopies,
            preferred_content,
            required_content,
            group_preferred_content,
            remote,
        });
        let at = tip.filter(|_| !journalled);
        let hash = contents
            .iter()
            .fold(Sha256::new(), |hash, content| hash.chain_update(content.len().to_le_bytes()).chain_update(content));
        let fingerprint = hash.finalize().into();
        let secure =
            FieldLog::<ConfigValue>::parse(config).value(&SECURE_HASHES.to_vec()).and_then(ConfigValue::as_bool);
        let secure_hashes_only = secure.unwrap_or(false);
        let clusters = FieldLog::parse(cluster);
        Ok(Some(PlacementState { placement, clusters, fingerprint, secure_hashes_only, at }))
    }
}
