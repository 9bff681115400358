//! `proc-receive`: the hook that git runs for pushes of the git-annex branch.

use std::path::Path;
use std::process::ExitCode;

use annex_gateway::branch::Branch;
use annex_gateway::branch::merge::Policy;
use annex_gateway::git::Git;
use keep_store::base::clock::SystemClock;

use crate::error::Failure;
use crate::host::git_service::{NO_PLACEMENT, POLICY};

/// Merge what is pushed to the git-annex branch (git runs this)
#[derive(Debug, clap::Args)]
pub(super) struct ProcReceive {}

impl ProcReceive {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let no_placement = std::env::var_os(POLICY).is_some_and(|value| value == NO_PLACEMENT);
        let policy = if no_placement { Policy::NoPlacement } else { Policy::Everything };
        let dir = std::env::var_os("GIT_DIR").unwrap_or_else(|| ".".into());
        let branch = Branch::open(Git::open(Path::new(&dir))?, SystemClock::shared())?;
        let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
        crate::doors::hook::proc_receive(&branch, policy, &mut input, &mut output, &mut std::io::stderr())?;
        Ok(ExitCode::SUCCESS)
    }
}
