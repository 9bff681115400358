//! Running git's own programs on a repository.

use std::sync::Arc;

use annex_gateway::git::program;
use annex_protocol::shell::GitService;
use keep_store::base::task::blocking;
use tokio::process::Command;

use crate::host::hub::Hosted;
use crate::host::repo::{Repo, RepoError};

/// The environment variable by which a door tells the hook what the pusher may do; without it, everything.
///
/// Somebody who pushes without a door has access to the repository's files anyway.
pub const POLICY: &str = "ANNEX_KEEP_PUSH";

/// The value of [`POLICY`] for those who may not change placement.
pub const NO_PLACEMENT: &str = "no-placement";

/// Returns git, without arguments, for somebody who may or may not change placement.
///
/// `protocol` is the version of git's protocol that the client asks for, as in `GIT_PROTOCOL`.
pub fn command(may_place: bool, protocol: Option<&str>) -> Command {
    let mut git = Command::from(program::command());
    git.env_remove(POLICY).env_remove("GIT_PROTOCOL").kill_on_drop(true);
    if !may_place {
        git.env(POLICY, NO_PLACEMENT);
    }
    if let Some(protocol) = protocol {
        git.env("GIT_PROTOCOL", protocol);
    }
    git
}

/// Makes a repository ready for a git program.
///
/// What the git-annex branch's journal holds is committed, so that a fetch brings everything confirmed so far.
pub async fn before(hosted: &Arc<Hosted>) -> Result<(), RepoError> {
    let hosted = Arc::clone(hosted);
    blocking(move || {
        hosted.repo.branch.commit()?;
        hosted.repo.install_hook()?;
        Ok(())
    })
    .await
}

/// Looks after a repository when a git program has ended.
pub async fn after(service: GitService, hosted: &Arc<Hosted>) -> Result<(), RepoError> {
    if service != GitService::ReceivePack {
        return Ok(());
    }
    let hosted = Arc::clone(hosted);
    blocking(move || point_head(&hosted.repo)).await
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
