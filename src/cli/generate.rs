//! `annex-keep man` and `annex-keep completions`: made from the definitions of the command line itself.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;
use super::output::Lines;
use crate::error::Failure;

/// Write the man pages, one for each command, into a directory
#[derive(Debug, clap::Args)]
pub(super) struct Man {
    /// The directory, for example /usr/local/share/man/man1; made if it is not there
    dir: PathBuf,
}

/// Print the completions of a shell
#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(["bash", "zsh", "fish"]))]
    shell: String,
}

impl Man {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        std::fs::create_dir_all(&self.dir)?;
        let mut out = Lines::new();
        let mut command = Cli::command();
        command.build();
        for (name, page) in pages(&command)? {
            let path = self.dir.join(name);
            std::fs::write(&path, page).map_err(|error| failed(&path, &error))?;
            out.line(path.display())?;
        }
        out.end()?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Completions {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let shell: Shell = self.shell.parse().map_err(Failure::usage)?;
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "annex-keep", &mut script);
        // clap_complete 4.6 spells a program's own name in two ways if it has a hyphen, and then finds no subcommand.
        let script = String::from_utf8_lossy(&script).replace("annex__subcmd__keep", "annex__keep");
        std::io::stdout().write_all(script.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns the pages of a command that was built and of all below it that are shown: file name and text.
fn pages(command: &clap::Command) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let page = clap_mangen::Man::new(command.clone())
        .manual("annex-keep")
        .source(concat!("annex-keep ", env!("CARGO_PKG_VERSION")));
    let name = page.get_filename();
    let mut text = Vec::new();
    page.render(&mut text)?;
    let mut found = vec![(name, text)];
    for below in command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help") {
        found.extend(pages(below)?);
    }
    Ok(found)
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}
