//! The command `annex-keep`, also run as `git-annex-remote-keep` and `git-annex-shell`.

use std::process::ExitCode;

fn main() -> ExitCode {
    annex_keep::cli::main()
}
