//! Command lines.

use super::{Directory, quote};
use crate::uuid::Uuid;

/// What a client asks for over ssh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `true`: opens the connection that later commands share.
    True,
    /// A command of git-annex-shell.
    Annex(AnnexCommand),
    /// A git conversation.
    Git {
        /// Which program.
        service: GitService,
        /// The repository.
        directory: Directory,
    },
}

/// A command of git-annex-shell with what comes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnexCommand {
    /// What to do.
    pub action: Action,
    /// The repository.
    pub directory: Directory,
    /// `--uuid`: which repository the client believes this to be, or which one to proxy.
    pub uuid: Option<Uuid>,
    /// `--force`.
    pub force: bool,
    /// Field `autoinit=1`: the repository may be initialised.
    pub autoinit: bool,
    /// Field `remoteuuid=`: the client's repository.
    pub remote_uuid: Option<Uuid>,
}

/// What git-annex-shell is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `configlist`: tell the UUID.
    ConfigList,
    /// `p2pstdio`: speak the P2P protocol.
    P2pStdio {
        /// What the client calls itself; never authenticated.
        client: Uuid,
    },
    /// `notifychanges`: tell changes of refs.
    NotifyChanges,
    /// `inannex`: are these keys all here?
    InAnnex {
        /// Keys, not parsed.
        keys: Vec<Vec<u8>>,
    },
    /// `dropkey`: remove these keys, given `--force`.
    DropKey {
        /// Keys, not parsed.
        keys: Vec<Vec<u8>>,
    },
    /// `sendkey`: an rsync server, for gcrypt; not served.
    SendKey {
        /// What follows the directory.
        parameters: Vec<Vec<u8>>,
    },
    /// `recvkey`: an rsync server, for gcrypt; not served.
    RecvKey {
        /// What follows the directory.
        parameters: Vec<Vec<u8>>,
    },
    /// `gcryptsetup`: not served.
    GcryptSetup {
        /// What follows the directory.
        parameters: Vec<Vec<u8>>,
    },
}

/// A git program that serves a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GitService {
    /// `git-upload-pack`: the client fetches.
    UploadPack,
    /// `git-receive-pack`: the client pushes.
    ReceivePack,
    /// `git-upload-archive`.
    UploadArchive,
}

impl Command {
    /// Returns the repository that the command is about.
    pub fn directory(&self) -> Option<&Directory> {
        match self {
            Self::True => None,
            Self::Annex(command) => Some(&command.directory),
            Self::Git { directory, .. } => Some(directory),
        }
    }
}

impl AnnexCommand {
    /// Returns the command without options and fields.
    pub fn new(action: Action, directory: Directory) -> Self {
        Self { action, directory, uuid: None, force: false, autoinit: false, remote_uuid: None }
    }

    /// Returns the command line for a shell, or for git-annex-shell as login shell.
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = b"git-annex-shell".to_vec();
        let mut word = |text: &[u8]| {
            line.push(b' ');
            line.extend_from_slice(&quote(text));
        };
        word(self.action.name().as_bytes());
        word(self.directory.as_bytes());
        for parameter in self.action.parameters() {
            word(parameter);
        }
        if self.force {
            word(b"--force");
        }
        if let Some(uuid) = &self.uuid {
            word(b"--uuid");
            word(uuid.as_bytes());
        }
        if self.autoinit || self.remote_uuid.is_some() {
            word(b"--");
            if self.autoinit {
                word(b"autoinit=1");
            }
            if let Some(uuid) = &self.remote_uuid {
                word(&[b"remoteuuid=", uuid.as_bytes()].concat());
            }
            word(b"--");
        }
        line
    }
}

impl Action {
    /// Returns the word that names it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ConfigList => "configlist",
            Self::P2pStdio { .. } => "p2pstdio",
            Self::NotifyChanges => "notifychanges",
            Self::InAnnex { .. } => "inannex",
            Self::DropKey { .. } => "dropkey",
            Self::SendKey { .. } => "sendkey",
            Self::RecvKey { .. } => "recvkey",
            Self::GcryptSetup { .. } => "gcryptsetup",
        }
    }

    fn parameters(&self) -> Vec<&[u8]> {
        match self {
            Self::ConfigList | Self::NotifyChanges => Vec::new(),
            Self::P2pStdio { client } => vec![client.as_bytes()],
            Self::InAnnex { keys: words }
            | Self::DropKey { keys: words }
            | Self::SendKey { parameters: words }
            | Self::RecvKey { parameters: words }
            | Self::GcryptSetup { parameters: words } => words.iter().map(Vec::as_slice).collect(),
        }
    }
}

impl GitService {
    /// Returns the program's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
            Self::UploadArchive => "git-upload-archive",
        }
    }
}
