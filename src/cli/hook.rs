//! The hooks that git runs for pushes.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use annex_gateway::branch::Branch;
use annex_gateway::branch::merge::{Policy, Terms};
use annex_gateway::git::{Git, ObjectId};
use annex_gateway::site::user::Role;
use annex_protocol::uuid::Uuid;
use keep_store::base::clock::SystemClock;

use crate::doors::hook::update::{self, Update};
use crate::error::Failure;
use crate::host::git_service::PUSHER;
use crate::host::repo::CLUSTER_UUID;

/// Merge what is pushed to the git-annex branch (git runs this)
#[derive(Debug, clap::Args)]
pub(super) struct ProcReceive {}

impl ProcReceive {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let policy = if pusher()? >= Role::Admin { Policy::Everything } else { Policy::NoPlacement };
        let git = Git::open(&git_dir())?;
        let cluster = git.config(CLUSTER_UUID).and_then(|text| Uuid::parse(text.as_bytes()));
        let branch = Branch::open(git, SystemClock::shared())?;
        let own_nodes = cluster.map(|cluster| branch.nodes_of(&cluster)).transpose()?.unwrap_or_default();
        let terms = Terms { policy, own_nodes };
        let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
        crate::doors::hook::proc_receive(&branch, &terms, &mut input, &mut output, &mut std::io::stderr())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Say whether a reference may be moved (git runs this)
#[derive(Debug, clap::Args)]
pub(super) struct UpdateHook {
    /// The reference's full name
    name: String,
    /// Where it points to
    old: String,
    /// Where it is to point to
    new: String,
}

impl UpdateHook {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let id = |text: &str| ObjectId::from_hex(text.as_bytes()).map_err(|error| Failure::usage(error.to_string()));
        let update = Update { name: &self.name, old: id(&self.old)?, new: id(&self.new)? };
        update::check(&Git::open(&git_dir())?, pusher()?, &update).map_err(Failure::failed)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns what the pusher may do. Somebody who pushes without a door has access to the repository's files anyway.
fn pusher() -> Result<Role, Failure> {
    match std::env::var(PUSHER) {
        Ok(role) => role.parse().map_err(Failure::failed),
        Err(std::env::VarError::NotPresent) => Ok(Role::Admin),
        Err(error) => Err(Failure::failed(error.to_string())),
    }
}

fn git_dir() -> PathBuf {
    std::env::var_os("GIT_DIR").map_or_else(|| Path::new(".").to_path_buf(), PathBuf::from)
}
