//! `annex-keep shell`: one command of an ssh client.

use std::ffi::OsString;
use std::process::ExitCode;

use annex_protocol::shell::Command;
use keep_store::base::task::Shutdown;

use super::site::SiteOption;
use crate::assemble::Stores;
use crate::doors::conversation::{ClientCommand, Programs, Streams, converse};
use crate::doors::shell::{argument_bytes, forced_command};
use crate::doors::socket::ask::Told;
use crate::doors::socket::{Handed, hand_over};
use crate::error::Failure;
use crate::host::caller::{Caller, Who};
use crate::host::hub::Hub;

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
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let told = Told::new(self.user, argument_bytes(&self.command), forced_command());
        let command = told.command()?;
        match hand_over(self.site.root()?, told.clone()) {
            Handed::Done(code) => Ok(ExitCode::from(code)),
            Handed::Lost => {
                Err(Failure::failed("the gateway's daemon ended in the middle of the conversation; try again"))
            }
            Handed::NotTaken => super::on_runtime(serve(&self.site, &told, command)),
        }
    }
}

/// Does what the client asks in this process.
async fn serve(site: &SiteOption, told: &Told, command: Option<Command>) -> Result<ExitCode, Failure> {
    let who = told.user.clone().map_or(Who::Owner, Who::User);
    let caller = Caller::with_variables(who, |name| told.variable(name));
    let git_protocol = told.variable("GIT_PROTOCOL").and_then(|value| String::from_utf8(value).ok());
    let asked = ClientCommand { command, git_protocol, door: "shell" };
    let hub = Hub::new(site.open()?, Box::new(Stores::default()), Shutdown::default());
    let streams = Streams {
        input: Box::new(tokio::io::stdin()),
        output: Box::new(tokio::io::stdout()),
        errors: Box::new(tokio::io::stderr()),
        programs: Programs::Inherit,
    };
    Ok(ExitCode::from(converse(&hub, &caller, asked, streams).await))
}
