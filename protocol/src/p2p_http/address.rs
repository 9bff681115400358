//! The path of a request.

use super::value::{decode_value, encode_value, percent_decode, percent_encode};
use crate::key::Key;
use crate::p2p::Version;
use crate::uuid::Uuid;

/// What a request is about: a repository, and something of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The repository, cluster or node.
    pub uuid: Uuid,
    /// What is asked of it.
    pub resource: Resource,
}

/// What is asked of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// A key's content, by GET or HEAD. Without a version it is for curl and browsers.
    Key {
        /// The version of the protocol.
        version: Option<Version>,
        /// The key.
        key: Key,
    },
    /// A call, by POST.
    Call {
        /// The version of the protocol.
        version: Version,
        /// What is called.
        call: Call,
    },
}

/// What can be called by POST.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// Whether content is there.
    CheckPresent,
    /// What time it is by the clock that REMOVE-BEFORE is measured with.
    GetTimestamp,
    /// To keep content from being removed, for ten minutes.
    LockContent,
    /// To hold such a lock for longer, and to give it back.
    KeepLocked,
    /// To remove content.
    Remove,
    /// To remove content if it is not too late.
    RemoveBefore,
    /// To store content.
    Put,
    /// From where on content is to be sent.
    PutOffset,
}

/// Why a path is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The protocol has nothing there. A client takes it as a sign to try a lower version.
    #[error("nothing is at this address")]
    Unknown,
    /// The version is none that this crate speaks.
    #[error("version {0} of the P2P protocol is not known here; v0 to v4 are")]
    Version(String),
    /// The version has no such call.
    #[error("v{} of the P2P protocol has no {}", version.number(), call.name())]
    NotYet {
        /// The version asked for.
        version: Version,
        /// The call asked for.
        call: Call,
    },
    /// The path names no repository.
    #[error("the path's UUID cannot be read")]
    Uuid,
    /// The path names no key.
    #[error("the path's key cannot be read: not a git-annex key")]
    Key,
}

/// What all paths begin with. A prefix that a client doubled is taken too: it strips only the shortest form of the URL.
const PREFIX: &[u8] = b"git-annex/";

const VERSIONS: [Version; 5] = [Version::V0, Version::V1, Version::V2, Version::V3, Version::V4];

const CALLS: [Call; 8] = [
    Call::CheckPresent,
    Call::GetTimestamp,
    Call::LockContent,
    Call::KeepLocked,
    Call::Remove,
    Call::RemoveBefore,
    Call::Put,
    Call::PutOffset,
];

impl Address {
    /// Reads the path of a request as it stands in the request line, `/git-annex/UUID/…`.
    ///
    /// A key may hold `/` as it is, as people type it.
    pub fn parse(path: &[u8]) -> Result<Self, AddressError> {
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let mut rest = path.strip_prefix(PREFIX).ok_or(AddressError::Unknown)?;
        while let Some(shorter) = rest.strip_prefix(PREFIX) {
            rest = shorter;
        }
        let (uuid, rest) = segment(rest).ok_or(AddressError::Unknown)?;
        let uuid = decode_value(&percent_decode(uuid)).and_then(|text| Uuid::parse(&text));
        // It would read as the doubled prefix.
        let uuid = uuid.filter(|uuid| uuid.as_bytes() != b"git-annex").ok_or(AddressError::Uuid)?;
        let (first, rest) = segment(rest).ok_or(AddressError::Unknown)?;
        let resource = if first == b"key" {
            Resource::Key { version: None, key: key(rest)? }
        } else {
            let version = version(first)?;
            match segment(rest) {
                Some((b"key", rest)) => Resource::Key { version: Some(version), key: key(rest)? },
                Some(_) => return Err(AddressError::Unknown),
                None => Resource::Call { version, call: Call::parse(rest, version)? },
            }
        };
        Ok(Self { uuid, resource })
    }

    /// Returns the path of the request.
    pub fn to_path(&self) -> String {
        let text = |bytes: &[u8]| percent_encode(encode_value(bytes).as_bytes());
        let uuid = text(self.uuid.as_bytes());
        match &self.resource {
            Resource::Key { version: None, key } => format!("/git-annex/{uuid}/key/{}", text(key.as_bytes())),
            Resource::Key { version: Some(version), key } => {
                format!("/git-annex/{uuid}/v{}/key/{}", version.number(), text(key.as_bytes()))
            }
            Resource::Call { version, call } => format!("/git-annex/{uuid}/v{}/{}", version.number(), call.name()),
        }
    }
}

impl Call {
    fn parse(name: &[u8], version: Version) -> Result<Self, AddressError> {
        let call = CALLS.into_iter().find(|call| call.name().as_bytes() == name).ok_or(AddressError::Unknown)?;
        if version < call.since() { Err(AddressError::NotYet { version, call }) } else { Ok(call) }
    }

    /// Returns the last part of the call's path.
    pub fn name(self) -> &'static str {
        match self {
            Self::CheckPresent => "checkpresent",
            Self::GetTimestamp => "gettimestamp",
            Self::LockContent => "lockcontent",
            Self::KeepLocked => "keeplocked",
            Self::Remove => "remove",
            Self::RemoveBefore => "remove-before",
            Self::Put => "put",
            Self::PutOffset => "putoffset",
        }
    }

    /// Returns the first version that has the call.
    pub fn since(self) -> Version {
        match self {
            Self::PutOffset => Version::V1,
            Self::GetTimestamp | Self::RemoveBefore => Version::V3,
            _ => Version::V0,
        }
    }
}

/// Takes what stands before the next `/`.
fn segment(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = path.iter().position(|byte| *byte == b'/')?;
    let (segment, rest) = path.split_at_checked(slash)?;
    Some((segment, rest.get(1..)?))
}

fn key(rest: &[u8]) -> Result<Key, AddressError> {
    let text = decode_value(&percent_decode(rest)).ok_or(AddressError::Key)?;
    Key::parse(&text).map_err(|_| AddressError::Key)
}

fn version(segment: &[u8]) -> Result<Version, AddressError> {
    let Some(digits) = segment.strip_prefix(b"v").filter(|digits| digits.iter().all(u8::is_ascii_digit)) else {
        return Err(AddressError::Unknown);
    };
    let known = VERSIONS.into_iter().find(|version| version.number().to_string().as_bytes() == digits);
    known.ok_or_else(|| AddressError::Version(String::from_utf8_lossy(segment).into_owned()))
}
