//! The messages.

use super::{AssociatedFile, Version};
use crate::key::Key;
use crate::uuid::Uuid;

/// A message of either side; `docs/spec/p2p-protocol.md` §2.
///
/// Free text and lists hold no line feed; one that slips in is written as a space.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Message {
    /// The client names itself, on transports without authentication of their own.
    Auth {
        /// The client's repository.
        uuid: Uuid,
        /// The secret.
        token: Vec<u8>,
    },
    /// The server accepts, and names the repository it serves.
    AuthSuccess(Uuid),
    /// The server waits for another AUTH.
    AuthFailure,
    /// The highest version offered, or the one agreed to.
    Version(u64),
    /// Gateways that must not be contacted in this session.
    Bypass(Vec<Uuid>),
    /// Is the content here?
    CheckPresent(Key),
    /// Keep the content until UNLOCKCONTENT.
    LockContent(Key),
    /// Ends the lock; never answered.
    UnlockContent,
    /// Asks for the server's monotonic clock.
    GetTimestamp,
    /// The server's monotonic clock, in whole seconds.
    Timestamp(u64),
    /// Remove the content.
    Remove(Key),
    /// Remove the content if the server's monotonic clock is still below the deadline.
    RemoveBefore {
        /// Seconds of the server's clock.
        deadline: u64,
        /// The content.
        key: Key,
    },
    /// Send the content from this offset on.
    Get {
        /// In bytes.
        offset: u64,
        /// A name that the content has in the client's tree.
        file: AssociatedFile,
        /// The content.
        key: Key,
    },
    /// Offer to send the content.
    Put {
        /// A name that the content has in the client's tree.
        file: AssociatedFile,
        /// The content.
        key: Key,
    },
    /// The server wants the content from this offset on.
    PutFrom(u64),
    /// The server has the content.
    AlreadyHave,
    /// The server has the content, and so have these.
    AlreadyHavePlus(Vec<Uuid>),
    /// That many raw bytes follow the line.
    Data(u64),
    /// The content reached the server in another way.
    DataPresent,
    /// The data sent was consistent.
    Valid,
    /// The data sent may not be consistent.
    Invalid,
    /// Done, or yes.
    Success,
    /// Done, and these stored it too, or lost it too.
    SuccessPlus(Vec<Uuid>),
    /// Not done, or no.
    Failure,
    /// Not done, although these lost their copy.
    FailurePlus(Vec<Uuid>),
    /// Asks for a git conversation.
    Connect(Service),
    /// The git conversation is over, with this exit code.
    ConnectDone(u32),
    /// Asks for the next change of refs.
    NotifyChange,
    /// The object ids that changed refs point to now.
    Changed(Vec<Vec<u8>>),
    /// Something went wrong, in words.
    Error(Vec<u8>),
}

/// The git program that CONNECT asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// `git-upload-pack`: the client fetches.
    UploadPack,
    /// `git-receive-pack`: the client pushes.
    ReceivePack,
}

impl Message {
    /// Returns what a peer of this version understands in place of this message.
    ///
    /// Replies lose their list below version 2. REMOVE-BEFORE becomes REMOVE below version 3: such a peer cannot check
    /// the deadline, so whoever sends it must. Other messages stay as they are.
    pub fn for_version(self, version: Version) -> Self {
        match self {
            Self::AlreadyHavePlus(_) if !version.has_plus() => Self::AlreadyHave,
            Self::SuccessPlus(_) if !version.has_plus() => Self::Success,
            Self::FailurePlus(_) if !version.has_plus() => Self::Failure,
            Self::RemoveBefore { key, .. } if !version.has_remove_before() => Self::Remove(key),
            other => other,
        }
    }

    /// Returns an ERROR message with this text.
    pub fn error(text: impl AsRef<[u8]>) -> Self {
        Self::Error(text.as_ref().to_vec())
    }

    /// Returns the key that a request is about.
    pub fn key(&self) -> Option<&Key> {
        match self {
            Self::CheckPresent(key)
            | Self::LockContent(key)
            | Self::Remove(key)
            | Self::RemoveBefore { key, .. }
            | Self::Get { key, .. }
            | Self::Put { key, .. } => Some(key),
            _ => None,
        }
    }
}

impl Service {
    /// Returns the program's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }
}
