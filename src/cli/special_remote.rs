//! `annex-keep special-remote`: the external special remote program.

use std::process::ExitCode;

use crate::error::Failure;

pub(super) async fn run() -> Result<ExitCode, Failure> {
    crate::special_remote::serve(std::io::BufReader::new(std::io::stdin()), tokio::io::stdout()).await;
    Ok(ExitCode::SUCCESS)
}
