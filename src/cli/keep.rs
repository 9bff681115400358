//! `annex-keep keep`: work on a Keep store directly.

use std::process::ExitCode;

use crate::error::Failure;

/// Work on a Keep store directly.
#[derive(Debug, clap::Args)]
pub(super) struct Keep {}

impl Keep {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        Ok(ExitCode::SUCCESS)
    }
}
