//! What the git-annex branch says about where content goes.

use annex_protocol::log::{
    ClusterNodes, Copies, FieldLog, GroupPreferred, Groups, MaxSize, Preferred, RemoteConfig, SingleLog, Trust,
};

use super::{Branch, BranchError};
use crate::git::ObjectId;

/// The logs that decide placement, parsed.
#[derive(Debug, Default)]
pub struct Placement {
    /// How far each repository is trusted.
    pub trust: FieldLog<Trust>,
    /// The groups that each repository is in.
    pub groups: FieldLog<Groups>,
    /// What each repository wants.
    pub preferred: FieldLog<Preferred>,
    /// What must not be dropped from each repository.
    pub required: FieldLog<Preferred>,
    /// What `groupwanted` means for members of each group.
    pub group_preferred: FieldLog<GroupPreferred>,
    /// How much each repository should hold at most.
    pub max_size: FieldLog<MaxSize>,
    /// The nodes of each cluster.
    pub clusters: FieldLog<ClusterNodes>,
    /// The settings of special remotes.
    pub remotes: FieldLog<RemoteConfig>,
    /// How many copies there should be.
    pub numcopies: Copies,
}

/// A state of the logs: the same stamp means the same placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(Option<ObjectId>);

const FILES: [&[u8]; 9] = [
    b"trust.log",
    b"group.log",
    b"preferred-content.log",
    b"required-content.log",
    b"group-preferred-content.log",
    b"maxsize.log",
    b"cluster.log",
    b"remote.log",
    b"numcopies.log",
];

impl Branch {
    /// Reads the placement logs as they are now.
    ///
    /// Given the stamp of an earlier reading, returns `None` if nothing can have changed since; that costs a look at
    /// the branch's tip and at the journal. A reading while logs are being changed in the journal has no stamp.
    pub fn placement(&self, earlier: Option<Stamp>) -> Result<Option<(Placement, Option<Stamp>)>, BranchError> {
        let tip = self.tip()?;
        let mut journalled = false;
        for file in FILES {
            journalled |= self.journal.read(file)?.is_some();
        }
        if !journalled && earlier == Some(Stamp(tip)) {
            return Ok(None);
        }
        let placement = Placement {
            trust: FieldLog::parse(&self.read(b"trust.log")?),
            groups: FieldLog::parse(&self.read(b"group.log")?),
            preferred: FieldLog::parse(&self.read(b"preferred-content.log")?),
            required: FieldLog::parse(&self.read(b"required-content.log")?),
            group_preferred: FieldLog::parse(&self.read(b"group-preferred-content.log")?),
            max_size: FieldLog::parse(&self.read(b"maxsize.log")?),
            clusters: FieldLog::parse(&self.read(b"cluster.log")?),
            remotes: FieldLog::parse(&self.read(b"remote.log")?),
            numcopies: SingleLog::parse(&self.read(b"numcopies.log")?).value().unwrap_or_default(),
        };
        Ok(Some((placement, (!journalled).then_some(Stamp(tip)))))
    }
}
