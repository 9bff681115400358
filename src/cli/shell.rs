//! `annex-keep shell`: one command of an ssh client.

use std::ffi::OsString;
use std::process::ExitCode;

use annex_protocol::shell::Command;

use super::site::SiteOption;
use crate::assemble::Stores;
use crate::error::Failure;
use crate::serve::caller::Caller;
use crate::serve::conversation::{Asked, Programs, Streams, converse};
use crate::serve::hub::Hub;
use crate::serve::shell::{Refusal, argument_bytes, forced_command};
use crate::task::Shutdown;

/// Do what an ssh client asks: a forced command under any sshd, also run as git-annex-shell
///
/// In authorized_keys: restrict,command="annex-keep shell --site SITE --user NAME" ssh-ed25519 …
/// (`annex-keep user add` prints that line). The client's command is taken from SSH_ORIGINAL_COMMAND, or from the
/// arguments as git-annex-shell takes them.
#[derive(Debug, clap::Args)]
pub(super) struct Shell {
    #[command(flatten)]
    site: SiteOption,
    /// The user of the site who is asking; without it everything is allowed that the environment does not forbid
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The command, as git-annex-shell takes it
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Shell {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let caller = Caller::from_environment(self.user);
        let command = match (self.command.as_slice(), forced_command()) {
            ([], Some(line)) => Some(Command::parse(&line).map_err(Refusal::from)?),
            ([], None) => None,
            (words, _) => Some(Command::from_arguments(&argument_bytes(words)).map_err(Refusal::from)?),
        };
        let git_protocol = std::env::var("GIT_PROTOCOL").ok();
        let asked = Asked { command, git_protocol, door: "shell" };
        let hub = Hub::new(self.site.open()?, Box::new(Stores::default()), Shutdown::default());
        let streams = Streams {
            input: Box::new(tokio::io::stdin()),
            output: Box::new(tokio::io::stdout()),
            errors: Box::new(tokio::io::stderr()),
            programs: Programs::Inherit,
        };
        Ok(ExitCode::from(converse(&hub, &caller, asked, streams).await))
    }
}
