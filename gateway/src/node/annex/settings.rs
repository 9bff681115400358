//! What a repository's configuration says of how its content is kept. All of it blocks.

use std::path::Path;

use annex_protocol::prefer::size;
use annex_protocol::uuid::Uuid;

use super::obstacle::Obstacle;
use crate::git::Git;
use crate::node::error::NodeError;

/// Settings of a repository that can be worked on natively.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// It has no work tree.
    pub(super) bare: bool,
    /// Content locks are files of their own (version 10), not the content's file itself (8 and 9).
    pub(super) lock_files: bool,
    /// Only keys whose hash is cryptographically secure are stored.
    pub(super) secure_hashes_only: bool,
    /// The git-annex branch is committed without being asked.
    pub(super) always_commit: bool,
    /// Bytes that stay free on the disk.
    pub(super) reserve: u64,
}

/// Settings that change how content is kept in a way that is left to git-annex itself.
const LEFT_TO_GIT_ANNEX: [(&str, &str); 8] = [
    ("annex.crippledfilesystem", "its file system knows no links or permissions"),
    ("annex.pidlock", "it is locked by pid files"),
    ("annex.thin", "its content shares files with the work tree"),
    ("annex.direct", "it is in direct mode"),
    ("annex.private", "it keeps its location log to itself"),
    ("annex.tune.objecthash1", "its hash directories are tuned"),
    ("annex.tune.objecthashlower", "its hash directories are tuned"),
    ("annex.tune.branchhash1", "its hash directories are tuned"),
];

/// Commands that are run on content, and hooks that do the same.
const COMMANDS: [(&str, &str); 3] = [
    ("annex.freezecontent-command", "freezecontent-annex"),
    ("annex.thawcontent-command", "thawcontent-annex"),
    ("annex.secure-erase-command", "secure-erase-annex"),
];

/// git-annex's own default of `annex.diskreserve`.
const RESERVE: u64 = 100_000_000;

impl Settings {
    /// Reads the settings of the repository at `path`, which must have the UUID `uuid`.
    pub(super) fn read(path: &Path, uuid: &Uuid) -> Result<(Git, Self), Obstacle> {
        let shown = path.display();
        let git = Git::open(path).map_err(|error| NodeError::Unreachable(error.to_string()))?;
        let Some(own) = git.config("annex.uuid") else {
            let text = format!("{shown} is no git-annex repository: run `git annex init` there");
            return Err(NodeError::Unreachable(text).into());
        };
        if own.as_bytes() != uuid.as_bytes() {
            let text = format!("{shown} has the UUID {own}, and the configuration says {uuid}");
            return Err(NodeError::Unreachable(text).into());
        }
        let refuse = |why: &str| Obstacle::GitAnnex(format!("{shown}: {why}, so only git-annex itself may work in it"));
        let version = git.config("annex.version").unwrap_or_default();
        let lock_files = match version.as_str() {
            "8" | "9" => false,
            "10" => true,
            other => return Err(refuse(&format!("its version is {other:?} (8, 9 and 10 are known)"))),
        };
        if git.dir().join("commondir").exists() {
            return Err(
                NodeError::Unsupported(format!("{shown} is a linked work tree: name the repository itself")).into()
            );
        }
        let on = |name: &str| git.config(name).is_some_and(|value| is_true(&value));
        if let Some((_, why)) = LEFT_TO_GIT_ANNEX.iter().find(|(name, _)| on(name)) {
            return Err(refuse(why));
        }
        let hook = |name: &str| git.dir().join("hooks").join(name).exists();
        if COMMANDS.iter().any(|(command, name)| git.config(command).is_some() || hook(name)) {
            return Err(refuse("commands are run on its content"));
        }
        let shared = git.config("core.sharedRepository");
        if shared.is_some_and(|value| !matches!(value.as_str(), "false" | "no" | "off" | "0" | "umask")) {
            return Err(refuse("it is shared between users (core.sharedRepository)"));
        }
        let reserve = git.config("annex.diskreserve").and_then(|text| u64::try_from(size(text.as_bytes())?).ok());
        let settings = Self {
            bare: on("core.bare"),
            lock_files,
            secure_hashes_only: on("annex.securehashesonly"),
            always_commit: git.config("annex.alwayscommit").is_none_or(|value| is_true(&value)),
            reserve: reserve.unwrap_or(RESERVE),
        };
        Ok((git, settings))
    }
}

/// Reads a truth value as git does; a name without a value is true.
fn is_true(value: &str) -> bool {
    !matches!(value.to_ascii_lowercase().as_str(), "false" | "no" | "off" | "0")
}
