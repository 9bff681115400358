//! The command line: one file a command.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Failure;

mod explain;
mod generate;
mod hook;
mod init;
mod keep;
mod link;
mod node;
mod output;
mod repair;
mod repo;
mod scrub;
mod serve;
mod shell;
mod site;
mod special_remote;
mod user;

/// Real storage behind git-annex: a special remote and a cluster gateway on Arvados Keep blocks.
#[derive(Debug, Parser)]
#[command(name = "annex-keep", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Tell more on standard error; twice, still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Tell errors only
    #[arg(short, long, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Init),
    Serve(serve::Serve),
    Repo(repo::Repo),
    User(user::User),
    Node(node::Node),
    Shell(shell::Shell),
    /// Speak the external special remote protocol; also run as `git-annex-remote-keep`
    SpecialRemote,
    Link(link::Link),
    Explain(explain::Explain),
    Repair(repair::Repair),
    Scrub(scrub::Scrub),
    Keep(keep::Keep),
    Man(generate::Man),
    Completions(generate::Completions),
    #[command(hide = true)]
    ProcReceive(hook::ProcReceive),
}

/// Runs the program with the process's own arguments.
pub fn main() -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    if let Some(command) = args.first().and_then(|name| called_as(name)) {
        args.insert(1, command.into());
    }
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    logs(if cli.quiet { "error" } else { level(cli.verbose) });
    match run(cli) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("annex-keep: {}", failure.text);
            failure.kind.into()
        }
    }
}

/// Returns the command that the program's own name stands for.
fn called_as(program: &std::ffi::OsStr) -> Option<&'static str> {
    match Path::new(program).file_name()?.to_str()? {
        "git-annex-remote-keep" => Some("special-remote"),
        "git-annex-shell" => Some("shell"),
        "proc-receive" => Some("proc-receive"),
        _ => None,
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Runtime::new()?;
    match cli.command {
        Command::Init(init) => runtime.block_on(init.run()),
        Command::Serve(serve) => runtime.block_on(serve.run()),
        Command::Repo(repo) => repo.run(),
        Command::User(user) => user.run(),
        Command::Node(node) => runtime.block_on(node.run()),
        Command::Shell(shell) => runtime.block_on(shell.run()),
        Command::Link(link) => link.run(),
        Command::ProcReceive(hook) => hook.run(),
        Command::SpecialRemote => runtime.block_on(special_remote::run()),
        Command::Explain(explain) => runtime.block_on(explain.run()),
        Command::Repair(repair) => runtime.block_on(repair.run()),
        Command::Scrub(scrub) => runtime.block_on(scrub.run()),
        Command::Man(man) => man.run(),
        Command::Completions(completions) => completions.run(),
        Command::Keep(keep) => runtime.block_on(keep.run()),
    }
}

/// Names what is logged by default, after `-v` and after more of them.
fn level(verbose: u8) -> &'static str {
    match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    }
}

/// Sends logs of this level and above to standard error; `ANNEX_KEEP_LOG` sets another filter.
///
/// Over ssh the user sees them, so they are plain lines.
fn logs(level: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("ANNEX_KEEP_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    lines.with_ansi(std::io::stderr().is_terminal()).without_time().with_target(false).init();
}
