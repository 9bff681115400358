//! Which file is which. Source: `docs/spec/git-annex-branch.md` §5 and §10.

use crate::key::Key;

/// The meaning of a path in the git-annex branch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the file of that name; the table of §5 lists them")]
pub enum LogKind {
    /// `aaa/bbb/KEY.log`.
    Location(Key),
    /// `aaa/bbb/KEY.log.web`: URLs.
    Web(Key),
    /// `aaa/bbb/KEY.log.rmt`: state that special remotes keep for a key.
    RemoteState(Key),
    /// `aaa/bbb/KEY.log.cnk`.
    Chunk(Key),
    /// `aaa/bbb/KEY.log.met`.
    Metadata(Key),
    /// `aaa/bbb/KEY.log.rmet`: metadata that special remotes keep for a key.
    RemoteMetadata(Key),
    /// `aaa/bbb/KEY.log.cid`.
    ContentIdentifier(Key),
    /// `aaa/bbb/KEY.log.ek`: keys equivalent to a VURL key.
    EquivalentKeys(Key),
    Uuid,
    Remote,
    Trust,
    Group,
    PreferredContent,
    RequiredContent,
    GroupPreferredContent,
    Numcopies,
    Mincopies,
    MaxSize,
    Cluster,
    Proxy,
    Export,
    Config,
    Schedule,
    Activity,
    Multicast,
    Difference,
    Transitions,
    /// Anything else: grafted trees, very old logs, files of a newer git-annex.
    Other,
}

impl LogKind {
    /// Returns the meaning of `path`, in a branch with the usual two levels of hash directories.
    pub fn of(path: &[u8]) -> Self {
        let mut components = path.split(|byte| *byte == b'/');
        match (components.next(), components.next(), components.next(), components.next()) {
            (Some(name), None, ..) => Self::of_top_level(name),
            (Some(_), Some(_), Some(name), None) => Self::of_key_file(name).unwrap_or(Self::Other),
            _ => Self::Other,
        }
    }

    /// Returns the key that the file belongs to.
    pub fn key(&self) -> Option<&Key> {
        match self {
            Self::Location(key)
            | Self::Web(key)
            | Self::RemoteState(key)
            | Self::Chunk(key)
            | Self::Metadata(key)
            | Self::RemoteMetadata(key)
            | Self::ContentIdentifier(key)
            | Self::EquivalentKeys(key) => Some(key),
            _ => None,
        }
    }

    fn of_top_level(name: &[u8]) -> Self {
        match name {
            b"uuid.log" => Self::Uuid,
            b"remote.log" => Self::Remote,
            b"trust.log" => Self::Trust,
            b"group.log" => Self::Group,
            b"preferred-content.log" => Self::PreferredContent,
            b"required-content.log" => Self::RequiredContent,
            b"group-preferred-content.log" => Self::GroupPreferredContent,
            b"numcopies.log" => Self::Numcopies,
            b"mincopies.log" => Self::Mincopies,
            b"maxsize.log" => Self::MaxSize,
            b"cluster.log" => Self::Cluster,
            b"proxy.log" => Self::Proxy,
            b"export.log" => Self::Export,
            b"config.log" => Self::Config,
            b"schedule.log" => Self::Schedule,
            b"activity.log" => Self::Activity,
            b"multicast.log" => Self::Multicast,
            b"difference.log" => Self::Difference,
            b"transitions.log" => Self::Transitions,
            _ => Self::Other,
        }
    }

    fn of_key_file(name: &[u8]) -> Option<Self> {
        let ends = |suffix: &[u8]| name.strip_suffix(suffix).and_then(|key| Key::from_file_name(key).ok());
        ends(b".log")
            .map(Self::Location)
            .or_else(|| ends(b".log.web").map(Self::Web))
            .or_else(|| ends(b".log.rmt").map(Self::RemoteState))
            .or_else(|| ends(b".log.cnk").map(Self::Chunk))
            .or_else(|| ends(b".log.met").map(Self::Metadata))
            .or_else(|| ends(b".log.rmet").map(Self::RemoteMetadata))
            .or_else(|| ends(b".log.cid").map(Self::ContentIdentifier))
            .or_else(|| ends(b".log.ek").map(Self::EquivalentKeys))
    }
}
