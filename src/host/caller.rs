//! Who is asking, and what they may do.

use std::fmt;

use annex_gateway::site::user::Role;
use annex_gateway::site::{RepoName, Site, SiteError};
use annex_protocol::p2p::Mode;
use annex_protocol::shell::Limits;

/// Who somebody is to the site.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Who {
    /// Somebody with access to the site's files, who may do everything.
    Owner,
    /// A user of the site.
    User(String),
    /// Somebody without a name.
    Anonymous,
}

/// Who is asking.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who that is to the site.
    pub who: Who,
    /// What the environment of a forced command allows.
    pub limits: Limits,
    /// The caller's home directory, for paths that start with `~`.
    pub home: Vec<u8>,
}

impl Who {
    /// Returns what they may do in a repository, which need not exist.
    pub fn role(&self, site: &Site, repo: &RepoName) -> Result<Role, SiteError> {
        match self {
            Self::Owner => Ok(Role::Admin),
            Self::User(name) => Ok(site.role(name, repo)?.max(site.anonymous(repo)?)),
            Self::Anonymous => site.anonymous(repo),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Owner => "owner",
            Self::User(name) => name,
            Self::Anonymous => "anonymous",
        })
    }
}

impl Caller {
    /// Returns a caller whom only the site limits.
    pub fn new(who: Who) -> Self {
        Self { who, limits: Limits::default(), home: b"/".to_vec() }
    }

    /// Returns the caller of a command that was started with these variables in its environment.
    pub fn with_variables(who: Who, variable: impl Fn(&str) -> Option<Vec<u8>>) -> Self {
        let home = variable("HOME").unwrap_or_else(|| b"/".to_vec());
        Self { who, limits: Limits::from_environment(variable), home }
    }

    /// Returns what a role lets the caller do over the P2P protocol.
    pub fn mode(&self, role: Role) -> Mode {
        match (mode(role), self.limits.mode()) {
            (Mode::ReadOnly, _) | (_, Mode::ReadOnly) => Mode::ReadOnly,
            (Mode::AppendOnly, _) | (_, Mode::AppendOnly) => Mode::AppendOnly,
            (Mode::ReadWrite, Mode::ReadWrite) => Mode::ReadWrite,
        }
    }
}

/// Returns what a role allows over the P2P protocol.
pub fn mode(role: Role) -> Mode {
    match role {
        Role::None | Role::Read => Mode::ReadOnly,
        Role::Append => Mode::AppendOnly,
        Role::Write | Role::Admin => Mode::ReadWrite,
    }
}
