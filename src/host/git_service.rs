//! Running git's own programs on a repository.

use std::sync::Arc;
use std::time::Duration;

use annex_gateway::git::program;
use annex_gateway::site::user::Role;
use annex_protocol::shell::GitService;
use keep_store::base::task::blocking;
use tokio::process::Command;

use crate::host::claims;
use crate::host::hub::{Hosted, Hub};
use crate::host::repo::{Repo, RepoError};

/// The environment variable by which a door tells the hooks the pusher's role in the repository.
pub const PUSHER: &str = "ANNEX_KEEP_PUSHER";

/// Settings of git for what it does for clients, beside the repository's own.
const SETTINGS: [&str; 7] = [
    // A push that is acknowledged has to outlive a power loss; by default, single objects stay in the page cache.
    "core.fsync=all",
    // One sync for all of them.
    "core.fsyncMethod=batch",
    // Forced pushes, and deletions, can be undone for a while.
    "core.logAllRefUpdates=always",
    "receive.fsckObjects=true",
    // Old programs wrote these; such histories cannot be mended any more.
    "receive.fsck.zeroPaddedFilemode=warn",
    "receive.fsck.missingSpaceBeforeDate=warn",
    "receive.fsck.badTimezone=warn",
];

/// How long a pusher waits while nodes are asked about what the push said of them.
const CLAIMS_WAIT: Duration = Duration::from_secs(2);

/// Returns git, without arguments but those for settings, for somebody with this role.
///
/// `protocol` is the version of git's protocol that the client asks for, as in `GIT_PROTOCOL`.
pub fn command(role: Role, protocol: Option<&str>) -> Command {
    let mut git = Command::from(program::command());
    git.env(PUSHER, role.to_string()).env_remove("GIT_PROTOCOL").kill_on_drop(true);
    git.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
    if let Some(protocol) = protocol {
        git.env("GIT_PROTOCOL", protocol);
    }
    git
}

/// Makes a repository ready for a git program.
///
/// What the git-annex branch's journal holds is committed, so that a fetch brings everything confirmed so far. If that
/// cannot be done now, a fetch brings what is there.
pub async fn before(service: GitService, hosted: &Arc<Hosted>) -> Result<(), RepoError> {
    let hosted = Arc::clone(hosted);
    blocking(move || {
        if let Err(error) = hosted.repo.branch.commit() {
            if service == GitService::ReceivePack {
                return Err(error.into());
            }
            tracing::warn!("{}: a fetch goes without the newest location logs: {error}", hosted.repo.name);
        }
        hosted.repo.install_hooks()?;
        Ok(())
    })
    .await
}

/// Looks after a repository when a git program has ended.
pub async fn after(service: GitService, hub: &Hub, hosted: &Arc<Hosted>) -> Result<(), RepoError> {
    if service != GitService::ReceivePack {
        return Ok(());
    }
    let here = Arc::clone(hosted);
    blocking(move || point_head(&here.repo)).await?;
    // The rest is for the daemon.
    claims::settle(hub, hosted, CLAIMS_WAIT).await
}

/// Lets HEAD name a branch that exists, so that clones check something out: a first push may bring any branch.
fn point_head(repo: &Repo) -> Result<(), RepoError> {
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
