//! `annex-keep link`: the two other names of the program.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::ExitCode;

use super::output::Lines;
use crate::error::Failure;

/// The names under which git-annex and ssh clients start the program.
pub(super) const NAMES: [&str; 2] = ["git-annex-remote-keep", "git-annex-shell"];

/// Put symlinks named git-annex-remote-keep and git-annex-shell into a directory
#[derive(Debug, clap::Args)]
pub(super) struct Link {
    /// The directory; made if it is not there
    dir: PathBuf,
}

impl Link {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let program = std::env::current_exe()?;
        std::fs::create_dir_all(&self.dir)?;
        let mut out = Lines::new();
        for name in NAMES {
            let link = self.dir.join(name);
            match std::fs::read_link(&link) {
                Ok(target) if target == program => continue,
                Ok(_) => std::fs::remove_file(&link)?,
                // Somebody's real program: git-annex's own git-annex-shell, perhaps.
                Err(_) if link.exists() => {
                    return Err(Failure::failed(format!(
                        "{} exists and is no symlink, so it was not replaced",
                        link.display()
                    )));
                }
                Err(_) => {}
            }
            symlink(&program, &link)?;
            out.line(format_args!("{} -> {}", link.display(), program.display()))?;
        }
        out.end()?;
        Ok(ExitCode::SUCCESS)
    }
}
