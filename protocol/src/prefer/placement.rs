//! What is known about the repositories, and the questions that can be asked.

use std::collections::{BTreeMap, BTreeSet};

use super::expression::Expression;
use crate::key::Key;
use crate::log::{
    Copies, FieldLog, GroupPreferred, Groups, MaxSize, Metadata, Preferred, Record, RemoteConfig, SingleLog, Trust,
};
use crate::uuid::Uuid;

/// Everything about all repositories that decides where keys go: the logs, parsed.
#[derive(Debug, Clone, Default)]
pub struct Placement {
    /// The groups of each repository, dead ones included.
    pub groups: BTreeMap<Uuid, BTreeSet<Vec<u8>>>,
    /// Repositories that are not semitrusted.
    pub trust: BTreeMap<Uuid, Trust>,
    /// The most bytes that a repository should hold.
    pub max_sizes: BTreeMap<Uuid, u64>,
    /// How many copies of each key there should be.
    pub numcopies: Copies,
    /// What each repository wants.
    pub preferred: BTreeMap<Uuid, Expression>,
    /// What must not be dropped from each repository.
    pub required: BTreeMap<Uuid, Expression>,
    /// What `groupwanted` means for members of each group.
    pub group_preferred: BTreeMap<Vec<u8>, Expression>,
    /// The directory that `inpreferreddir` means for a special remote, where it is not `public`.
    pub preferred_dirs: BTreeMap<Uuid, Vec<u8>>,
    /// Acts as git-annex does with `--rebalance`: keys may move for the sake of balance.
    pub rebalance: bool,
}

/// The contents of the logs that a [`Placement`] is made from; empty for a file that does not exist.
#[derive(Debug, Clone, Copy, Default)]
#[expect(missing_docs, reason = "each field is the file of that name")]
pub struct PlacementLogs<'a> {
    pub group: &'a [u8],
    pub trust: &'a [u8],
    pub maxsize: &'a [u8],
    pub numcopies: &'a [u8],
    pub preferred_content: &'a [u8],
    pub required_content: &'a [u8],
    pub group_preferred_content: &'a [u8],
    pub remote: &'a [u8],
}

/// The facts about one key. Except for the locations, each is asked for only if an expression depends on it.
pub trait KeyFacts {
    /// Returns who has the key: its location log with clusters added. Dead repositories may be among them.
    fn locations(&self) -> BTreeSet<Uuid>;

    /// Returns the key's metadata.
    fn metadata(&self) -> Metadata;

    /// Returns the key's recorded URLs, without the prefix that names the downloader.
    fn urls(&self) -> Vec<Vec<u8>>;

    /// Returns the keys recorded as equivalent to this `VURL` key.
    fn equivalent_keys(&self) -> Vec<Key>;

    /// Returns the number of bytes that a repository holds, uploads in progress included; `None` if it is not known.
    fn repository_size(&self, repository: &Uuid) -> Option<u64>;
}

/// One key in one repository.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The repository that may want the key.
    pub repository: &'a Uuid,
    /// The key.
    pub key: &'a Key,
    /// The name of a file with this content, relative to the top of the tree; a leading `./` does not count.
    pub file: Option<&'a [u8]>,
    /// The facts about the key.
    pub facts: &'a dyn KeyFacts,
}

impl Placement {
    /// Reads the logs. Anything in them is accepted; what cannot be read is left out, as git-annex does.
    pub fn from_logs(logs: PlacementLogs<'_>) -> Self {
        let parse = |Preferred(text): &Preferred| Expression::parse(text);
        let preferred_dirs = by_field(logs.remote, |config: &RemoteConfig| {
            config.setting(b"preferreddir").filter(|dir| !dir.is_empty()).map(<[u8]>::to_vec)
        });
        Self {
            groups: by_field(logs.group, |Groups(groups)| groups.clone()),
            trust: by_field(logs.trust, |trust: &Trust| *trust),
            max_sizes: by_field(logs.maxsize, |MaxSize(size)| *size),
            numcopies: SingleLog::parse(logs.numcopies).value().unwrap_or_default(),
            preferred: by_field(logs.preferred_content, parse),
            required: by_field(logs.required_content, parse),
            group_preferred: by_field(logs.group_preferred_content, |GroupPreferred(text)| Expression::parse(text)),
            preferred_dirs: preferred_dirs.into_iter().filter_map(|(uuid, dir)| Some((uuid, dir?))).collect(),
            rebalance: false,
        }
    }

    /// Returns how far a repository is trusted.
    pub fn trust(&self, repository: &Uuid) -> Trust {
        self.trust.get(repository).copied().unwrap_or_default()
    }

    /// Returns the members of a group, dead ones included.
    pub fn members(&self, group: &[u8]) -> BTreeSet<Uuid> {
        let members = self.groups.iter().filter(|(_, groups)| groups.contains(group));
        members.map(|(uuid, _)| uuid.clone()).collect()
    }
}

fn by_field<R: Record, T>(content: &[u8], value: impl Fn(&R) -> T) -> BTreeMap<R::Field, T> {
    FieldLog::<R>::parse(content).iter().map(|(field, record)| (field.clone(), value(record))).collect()
}
