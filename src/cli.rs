//! The command line: one file a command.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Failure;

mod bench;
mod explain;
mod gc;
mod generate;
mod hook;
mod init;
mod keep;
mod link;
mod log;
mod node;
mod output;
mod repair;
mod repo;
mod scrub;
mod serve;
mod shell;
mod site;
mod special_remote;
mod status;
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
    Status(status::Status),
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
    Gc(gc::Gc),
    Keep(keep::Keep),
    Bench(bench::Bench),
    Man(generate::Man),
    Completions(generate::Completions),
    #[command(hide = true)]
    ProcReceive(hook::ProcReceive),
    #[command(hide = true)]
    UpdateHook(hook::UpdateHook),
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
    let (daemon, format) = match &cli.command {
        Command::Serve(serve) => (true, serve.log_format()),
        _ => (false, log::Format::Text),
    };
    log::start(log::level(cli.quiet, cli.verbose, daemon), format, daemon);
    match run(cli) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("annex-keep: {}", failure.text);
            failure.exit.into()
        }
    }
}

/// Returns the command that the program's own name stands for.
fn called_as(program: &std::ffi::OsStr) -> Option<&'static str> {
    match Path::new(program).file_name()?.to_str()? {
        "git-annex-remote-keep" => Some("special-remote"),
        "git-annex-shell" => Some("shell"),
        "proc-receive" => Some("proc-receive"),
        "update" => Some("update-hook"),
        _ => None,
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Init(init) => on_runtime(init.run()),
        Command::Serve(serve) => on_runtime(serve.run()),
        Command::Status(status) => on_runtime(status.run()),
        Command::Repo(repo) => repo.run(),
        Command::User(user) => user.run(),
        Command::Node(node) => on_runtime(node.run()),
        Command::Explain(explain) => on_runtime(explain.run()),
        Command::Repair(repair) => on_runtime(repair.run()),
        Command::Scrub(scrub) => on_runtime(scrub.run()),
        Command::Gc(gc) => on_runtime(gc.run()),
        Command::Man(man) => man.run(),
        Command::Completions(completions) => completions.run(),
        Command::Shell(shell) => shell.run(),
        Command::Link(link) => link.run(),
        Command::ProcReceive(hook) => hook.run(),
        Command::UpdateHook(hook) => hook.run(),
        Command::SpecialRemote => on_runtime(special_remote::run()),
        Command::Keep(keep) => on_runtime(keep.run()),
        Command::Bench(bench) => on_runtime(bench.run()),
    }
}

/// Runs a command that waits for several things at once. A runtime is made only where it is needed.
fn on_runtime(command: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    tokio::runtime::Runtime::new()?.block_on(command)
}
