//! What the environment allows.

use super::{Action, Command, Directory};
use crate::p2p::Mode;

/// What the `GIT_ANNEX_SHELL_*` variables allow; `docs/spec/git-annex-shell.md` §3.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// `GIT_ANNEX_SHELL_READONLY`.
    pub read_only: bool,
    /// `GIT_ANNEX_SHELL_APPENDONLY`.
    pub append_only: bool,
    /// `GIT_ANNEX_SHELL_LIMITED`: no git commands.
    pub limited: bool,
    /// `GIT_ANNEX_SHELL_DIRECTORY`: no other repository. Empty means the home directory, as it does for git-annex.
    pub directory: Option<Directory>,
}

/// A command is not allowed; ends the connection with exit code 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// A variable forbids it.
    #[error("Action blocked by {0}")]
    Blocked(&'static str),
    /// It is about another directory.
    #[error("Only allowed to access {allowed} not {asked}")]
    Directory {
        /// The one allowed.
        allowed: String,
        /// The one asked for.
        asked: String,
    },
}

const READ_ONLY: &str = "GIT_ANNEX_SHELL_READONLY";
const APPEND_ONLY: &str = "GIT_ANNEX_SHELL_APPENDONLY";
const LIMITED: &str = "GIT_ANNEX_SHELL_LIMITED";
const DIRECTORY: &str = "GIT_ANNEX_SHELL_DIRECTORY";

impl Limits {
    /// Reads the limits from an environment, given as a function from a variable's name to its value.
    pub fn from_environment(variable: impl Fn(&str) -> Option<Vec<u8>>) -> Self {
        let is_set = |name| variable(name).is_some_and(|value| !value.is_empty());
        Self {
            read_only: is_set(READ_ONLY),
            append_only: is_set(APPEND_ONLY),
            limited: is_set(LIMITED),
            directory: variable(DIRECTORY).map(Directory::new),
        }
    }

    /// Returns the mode of a P2P session.
    pub fn mode(&self) -> Mode {
        match self {
            Self { read_only: true, .. } => Mode::ReadOnly,
            Self { append_only: true, .. } => Mode::AppendOnly,
            _ => Mode::ReadWrite,
        }
    }

    /// Checks a command of a user with this home directory.
    ///
    /// Initialising a repository for configlist is forbidden in read-only mode too; whoever does it checks
    /// [`Limits::check_initialise`].
    pub fn check(&self, command: &Command, home: &[u8]) -> Result<(), LimitError> {
        if let Command::Annex(command) = command {
            let (reads, appends) = match command.action {
                Action::DropKey { .. } | Action::GcryptSetup { .. } => (false, false),
                Action::RecvKey { .. } => (false, true),
                _ => (true, true),
            };
            if self.read_only && !reads {
                return Err(LimitError::Blocked(READ_ONLY));
            }
            if self.append_only && !appends {
                return Err(LimitError::Blocked(APPEND_ONLY));
            }
        }
        if let Some((allowed, asked)) = self.directory.as_ref().zip(command.directory()) {
            check_directory(allowed, asked, home)?;
        }
        if self.limited && matches!(command, Command::Git { .. }) {
            return Err(LimitError::Blocked(LIMITED));
        }
        Ok(())
    }

    /// Checks whether configlist may initialise a repository.
    pub fn check_initialise(&self) -> Result<(), LimitError> {
        if self.read_only { Err(LimitError::Blocked(READ_ONLY)) } else { Ok(()) }
    }
}

fn check_directory(allowed: &Directory, asked: &Directory, home: &[u8]) -> Result<(), LimitError> {
    if allowed == asked || allowed.normal(home).is_some_and(|path| Some(path) == asked.normal(home)) {
        return Ok(());
    }
    Err(LimitError::Directory { allowed: shown(allowed, home), asked: shown(asked, home) })
}

/// Returns a directory as error messages show it: below the home directory with `~`.
fn shown(directory: &Directory, home: &[u8]) -> String {
    let Some(path) = directory.normal(home) else { return directory.to_string() };
    let home = Directory::new(home).normal(home).unwrap_or_default();
    let text = match path.strip_prefix(home.as_slice()) {
        Some(b"") => b"~/".to_vec(),
        Some(rest) if rest.starts_with(b"/") => [b"~", rest].concat(),
        _ => path,
    };
    String::from_utf8_lossy(&text).into_owned()
}
