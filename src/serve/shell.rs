//! The ssh door for one command: what git-annex-shell and git's own programs do on other servers.
//!
//! Source: spec `git-annex-shell.md` §2 and §3; design `architecture.md`, "Front doors".

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use annex_protocol::p2p::Mode;
use annex_protocol::shell::{Action, AnnexCommand, Command, CommandError, Directory, GitService, LimitError, Limits};

use crate::error::Failure;
use crate::repo::{Repo, RepoError};
use crate::site::user::Role;
use crate::site::{RepoName, Site, SiteError};

/// Who is asking.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The user of the site; `None` for somebody who has the site's files in hand and may do everything.
    pub user: Option<String>,
    /// What the environment allows.
    pub limits: Limits,
    /// The caller's home directory, for paths that start with `~`.
    pub home: Vec<u8>,
}

/// What the door is to do, once the caller is known to be allowed to.
pub enum Request {
    /// Nothing, successfully.
    Nothing,
    /// Tell this cluster UUID.
    ConfigList(annex_protocol::uuid::Uuid),
    /// Speak the P2P protocol.
    P2p {
        /// The repository.
        repo: Repo,
        /// The UUID that the client asked for; without one, it means the cluster.
        uuid: Option<annex_protocol::uuid::Uuid>,
        /// What the client may do.
        mode: Mode,
    },
    /// Tell changes of branches.
    Notify(Repo),
    /// Run a git program on the repository.
    Git {
        /// Which.
        service: GitService,
        /// The repository.
        repo: Repo,
        /// Whether pushes may change placement.
        may_place: bool,
    },
}

/// Why a request was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The command line is none of ours.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The environment forbids it.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The user may not do that.
    #[error(
        "{user} may not {what} {name}; an admin of this site can allow it (annex-keep user set {user} --repo {name}=ROLE)"
    )]
    Role {
        /// The user.
        user: String,
        /// What was asked.
        what: &'static str,
        /// The repository.
        name: RepoName,
    },
    /// The UUID asked for is none of this repository's.
    #[error("expected repository UUID {asked} but found UUID {found}")]
    Uuid {
        /// The UUID asked for.
        asked: String,
        /// The cluster's.
        found: String,
    },
    /// A command that is not served.
    #[error("git-annex-shell {0} is not served here")]
    NotServed(&'static str),
    /// The repository failed.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// The site failed.
    #[error(transparent)]
    Site(#[from] SiteError),
}

impl Caller {
    /// Returns the caller that this process's environment tells of.
    pub fn from_environment(user: Option<String>) -> Self {
        let variable = |name: &str| std::env::var_os(name).map(|value| value.as_bytes().to_vec());
        let home = variable("HOME").unwrap_or_else(|| b"/".to_vec());
        Self { user, limits: Limits::from_environment(variable), home }
    }

    fn role(&self, site: &Site, name: &RepoName) -> Result<Role, Refusal> {
        match &self.user {
            Some(user) => Ok(site.role(user, name)?),
            None => Ok(Role::Admin),
        }
    }

    fn refused(&self, what: &'static str, name: &RepoName) -> Refusal {
        Refusal::Role { user: self.user.clone().unwrap_or_default(), what, name: name.clone() }
    }

    fn mode(&self, role: Role) -> Mode {
        match (role, self.limits.mode()) {
            (_, Mode::ReadOnly) | (Role::None | Role::Read, _) => Mode::ReadOnly,
            (_, Mode::AppendOnly) | (Role::Append, _) => Mode::AppendOnly,
            _ => Mode::ReadWrite,
        }
    }
}

/// Finds out what a command line asks for and whether the caller may. Makes the repository where that is asked for.
pub fn request(site: &Site, caller: &Caller, command: &Command) -> Result<Request, Refusal> {
    caller.limits.check(command, &caller.home)?;
    match command {
        Command::True => Ok(Request::Nothing),
        Command::Annex(command) => annex(site, caller, command),
        Command::Git { service, directory } => git(site, caller, *service, directory),
    }
}

fn annex(site: &Site, caller: &Caller, command: &AnnexCommand) -> Result<Request, Refusal> {
    let name = find(site, &command.directory)?;
    let role = caller.role(site, &name)?;
    if role < Role::Read {
        return Err(caller.refused("read", &name));
    }
    match command.action {
        Action::ConfigList => {
            let repo = match Repo::open(site, &name) {
                Err(RepoError::Missing(_)) if command.autoinit && role >= Role::Write => {
                    caller.limits.check_initialise()?;
                    open_or_create(site, &name)?
                }
                opened => opened?,
            };
            Ok(Request::ConfigList(repo.identity.cluster))
        }
        Action::P2pStdio { .. } => {
            let repo = Repo::open(site, &name)?;
            Ok(Request::P2p { repo, uuid: command.uuid.clone(), mode: caller.mode(role) })
        }
        Action::NotifyChanges => Ok(Request::Notify(Repo::open(site, &name)?)),
        ref other => Err(Refusal::NotServed(other.name())),
    }
}

fn git(site: &Site, caller: &Caller, service: GitService, directory: &Directory) -> Result<Request, Refusal> {
    let name = find(site, directory)?;
    let role = caller.role(site, &name)?;
    let (needed, what) = match service {
        GitService::UploadPack | GitService::UploadArchive => (Role::Read, "read"),
        GitService::ReceivePack => (Role::Append, "push to"),
    };
    if role < needed {
        return Err(caller.refused(what, &name));
    }
    let repo = match Repo::open(site, &name) {
        Err(RepoError::Missing(_)) if service == GitService::ReceivePack && role >= Role::Write => {
            open_or_create(site, &name)?
        }
        opened => opened?,
    };
    Ok(Request::Git { service, repo, may_place: role >= Role::Admin })
}

fn find(site: &Site, directory: &Directory) -> Result<RepoName, SiteError> {
    RepoName::from_client(directory.as_bytes(), &site.root().join("repos"))
}

/// Two clients may come with the first push at once.
fn open_or_create(site: &Site, name: &RepoName) -> Result<Repo, RepoError> {
    match Repo::create(site, name) {
        Err(RepoError::Exists(_)) => Repo::open(site, name),
        created => created,
    }
}

/// Runs a git program for the client, with this process's own standard streams. Returns its exit code.
///
/// What the git-annex branch's journal holds is committed first, so that a fetch brings everything confirmed so far.
/// `hook_variable` is set for hooks that the program runs.
pub async fn run_git(service: GitService, repo: &Repo, hook_variable: Option<(&str, &str)>) -> Result<i32, Failure> {
    repo.branch.commit()?;
    repo.install_hook()?;
    let mut git = tokio::process::Command::from(crate::git::program::command());
    git.arg(service.as_str().trim_start_matches("git-")).arg(repo.git.dir());
    if let Some((name, value)) = hook_variable {
        git.env(name, value);
    }
    let status = git.status().await?;
    if service == GitService::ReceivePack {
        point_head(repo)?;
    }
    Ok(status.code().unwrap_or(1))
}

/// Lets HEAD name a branch that exists, so that clones check something out: a first push may bring any branch.
fn point_head(repo: &Repo) -> Result<(), Failure> {
    let branches = repo.git.branches()?;
    if branches.contains_key(&repo.git.head()?) {
        return Ok(());
    }
    let ordinary = |name: &&String| !name.ends_with("git-annex") && !name.starts_with("synced/");
    let preferred = ["main", "master"].into_iter().find(|name| branches.contains_key(*name));
    if let Some(branch) = preferred.or_else(|| branches.keys().find(ordinary).map(String::as_str)) {
        repo.git.set_head(branch)?;
    }
    Ok(())
}

/// Tells somebody who logs in without a command who they are and what they may use, in lines.
pub fn greeting(site: &Site, caller: &Caller) -> Result<Vec<String>, SiteError> {
    let hello = caller.user.as_ref().map(|user| format!("Hello {user}! ")).unwrap_or_default();
    let mut lines = vec![format!("{hello}This is annex-keep: git and git-annex, no shell. You may use:")];
    for name in site.repos()? {
        let role = match &caller.user {
            Some(user) => site.role(user, &name)?,
            None => Role::Admin,
        };
        if role >= Role::Read {
            lines.push(format!("  {name} ({role})"));
        }
    }
    Ok(lines)
}

/// Returns the command that sshd was given by the client, for a forced command.
pub fn forced_command() -> Option<Vec<u8>> {
    std::env::var_os("SSH_ORIGINAL_COMMAND").map(|command| command.as_bytes().to_vec())
}

/// Returns program arguments as bytes.
pub fn argument_bytes(arguments: &[impl AsRef<OsStr>]) -> Vec<Vec<u8>> {
    arguments.iter().map(|argument| argument.as_ref().as_bytes().to_vec()).collect()
}
