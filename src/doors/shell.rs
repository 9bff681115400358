//! The ssh door for one command: what git-annex-shell and git's own programs do on other servers.
//!
//! Source: `docs/spec/git-annex-shell.md` §2 and §3; `docs/decisions/doors.md`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use annex_gateway::gateway::{ErrorKind, HasKind};
use annex_gateway::site::user::Role;
use annex_gateway::site::{RepoName, Site, SiteError};
use annex_protocol::p2p::Mode;
use annex_protocol::shell::{Action, AnnexCommand, Command, CommandError, Directory, GitService, LimitError};
use annex_protocol::uuid::Uuid;

use crate::host::caller::{Caller, Who};
use crate::host::hub::{Hosted, Hub};
use crate::host::repo::RepoError;

/// What the door is to do, once the caller is known to be allowed to.
pub enum ShellTask {
    /// Nothing, successfully.
    Nothing,
    /// Tell this cluster UUID.
    ConfigList(Uuid),
    /// Speak the P2P protocol.
    P2p {
        /// The repository.
        hosted: Arc<Hosted>,
        /// The UUID that the client asked for; without one, it means the cluster.
        uuid: Option<Uuid>,
        /// What the client may do.
        mode: Mode,
    },
    /// Tell changes of branches.
    Notify(Arc<Hosted>),
    /// Run a git program on the repository.
    Git {
        /// Which.
        service: GitService,
        /// The repository.
        hosted: Arc<Hosted>,
        /// The caller's role in it.
        role: Role,
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
        "{who} may not {what} {name}; an admin of this site can allow it (annex-keep user set {who} --repo {name}=ROLE)"
    )]
    Role {
        /// Who asked.
        who: Who,
        /// What was asked.
        what: &'static str,
        /// The repository.
        name: RepoName,
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

impl HasKind for Refusal {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Command(_) | Self::NotServed(_) => ErrorKind::Invalid,
            Self::Limit(_) | Self::Role { .. } => ErrorKind::Denied,
            Self::Repo(error) => error.kind(),
            Self::Site(error) => error.kind(),
        }
    }
}

/// Finds out what a command line asks for and whether the caller may. Makes the repository where that is asked for.
///
/// Blocks.
pub fn understand(hub: &Hub, caller: &Caller, command: &Command) -> Result<ShellTask, Refusal> {
    caller.limits.check(command, &caller.home)?;
    match command {
        Command::True => Ok(ShellTask::Nothing),
        Command::Annex(command) => annex(hub, caller, command),
        Command::Git { service, directory } => git(hub, caller, *service, directory),
    }
}

fn annex(hub: &Hub, caller: &Caller, command: &AnnexCommand) -> Result<ShellTask, Refusal> {
    let site = hub.site();
    let name = find(&site, &command.directory)?;
    let role = caller.who.role(&site, &name)?;
    if role < Role::Read {
        return Err(Refusal::Role { who: caller.who.clone(), what: "read", name });
    }
    match command.action {
        Action::ConfigList => {
            let hosted = match hub.open(&name) {
                Err(RepoError::Missing(_)) if command.autoinit && may_create(&site, role) => {
                    caller.limits.check_initialise()?;
                    hub.open_or_create(&name)?
                }
                opened => opened?,
            };
            Ok(ShellTask::ConfigList(hosted.repo.identity.cluster.clone()))
        }
        Action::P2pStdio { .. } => {
            let hosted = hub.open(&name)?;
            Ok(ShellTask::P2p { hosted, uuid: command.uuid.clone(), mode: caller.mode(role) })
        }
        Action::NotifyChanges => Ok(ShellTask::Notify(hub.open(&name)?)),
        ref other => Err(Refusal::NotServed(other.name())),
    }
}

fn git(hub: &Hub, caller: &Caller, service: GitService, directory: &Directory) -> Result<ShellTask, Refusal> {
    let name = find(&hub.site(), directory)?;
    let (hosted, role) = for_git(hub, &caller.who, service, &name, true)?;
    Ok(ShellTask::Git { service, hosted, role })
}

/// Opens a repository for a git program, and tells the caller's role in it.
///
/// A first push by somebody who may makes the repository, unless `create` is false. Blocks.
pub(super) fn for_git(
    hub: &Hub,
    who: &Who,
    service: GitService,
    name: &RepoName,
    create: bool,
) -> Result<(Arc<Hosted>, Role), Refusal> {
    let (needed, what) = match service {
        GitService::UploadPack | GitService::UploadArchive => (Role::Read, "read"),
        GitService::ReceivePack => (Role::Append, "push to"),
    };
    open(hub, who, name, (needed, what), create && service == GitService::ReceivePack)
}

/// Opens a repository for somebody who needs a role in it for `what`; makes it if that is allowed. Blocks.
pub(super) fn open(
    hub: &Hub,
    who: &Who,
    name: &RepoName,
    (needed, what): (Role, &'static str),
    create: bool,
) -> Result<(Arc<Hosted>, Role), Refusal> {
    let site = hub.site();
    let role = who.role(&site, name)?;
    if role < needed {
        return Err(Refusal::Role { who: who.clone(), what, name: name.clone() });
    }
    let hosted = match hub.open(name) {
        Err(RepoError::Missing(_)) if create && may_create(&site, role) => hub.open_or_create(name)?,
        opened => opened?,
    };
    Ok((hosted, role))
}

/// Tells whether a first push by somebody with this role makes a repository.
pub fn may_create(site: &Site, role: Role) -> bool {
    site.config().create != Role::None && role >= site.config().create
}

fn find(site: &Site, directory: &Directory) -> Result<RepoName, SiteError> {
    RepoName::from_client(directory.as_bytes(), &site.root().join("repos"))
}

/// Tells somebody who logs in without a command who they are and what they may use, in lines. Blocks.
pub fn greeting(site: &Site, caller: &Caller) -> Result<Vec<String>, SiteError> {
    let hello = match &caller.who {
        Who::User(user) => format!("Hello {user}! "),
        Who::Owner | Who::Anonymous => String::new(),
    };
    let mut lines = vec![format!("{hello}This is annex-keep: git and git-annex, no shell. You may use:")];
    for name in site.repos()? {
        let role = caller.who.role(site, &name)?;
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
