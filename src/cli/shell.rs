//! `annex-keep shell`: one command of an ssh client.

use std::ffi::OsString;
use std::process::ExitCode;

use annex_protocol::shell::Command;

use super::hook::{NO_PLACEMENT, POLICY};
use super::output::Lines;
use super::site::SiteOption;
use crate::error::Failure;
use crate::gateway::Target;
use crate::repo::Repo;
use crate::serve::p2p::{Service, serve};
use crate::serve::shell::{Caller, Refusal, Request, argument_bytes, forced_command, greeting, request, run_git};

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
        let site = self.site.open()?;
        let caller = Caller::from_environment(self.user);
        let asked = match (self.command.as_slice(), forced_command()) {
            ([], Some(line)) => Command::parse(&line),
            ([], None) => {
                let mut out = Lines::new();
                for line in greeting(&site, &caller)? {
                    out.line(line)?;
                }
                out.end()?;
                return Ok(ExitCode::SUCCESS);
            }
            (words, _) => Command::from_arguments(&argument_bytes(words)),
        };
        let command = asked.map_err(Refusal::from)?;
        match request(&site, &caller, &command)? {
            Request::Nothing => Ok(ExitCode::SUCCESS),
            Request::ConfigList(cluster) => {
                let mut out = Lines::new();
                out.line(format_args!("annex.uuid={cluster}\ncore.gcrypt-id="))?;
                out.end()?;
                Ok(ExitCode::SUCCESS)
            }
            Request::P2p { repo, uuid, mode } => {
                let gateway = crate::assemble::gateway(&site, &repo).await?;
                let Repo { identity, .. } = repo;
                let uuid = uuid.unwrap_or_else(|| identity.cluster.clone());
                let target: Option<Target> = gateway.target(&uuid);
                let Some(target) = target else {
                    let (asked, found) = (uuid.to_string(), identity.cluster.to_string());
                    return Err(Refusal::Uuid { asked, found }.into());
                };
                let service = Service { gateway, uuid, target, mode };
                serve(service, tokio::io::stdin(), tokio::io::stdout()).await?;
                Ok(ExitCode::SUCCESS)
            }
            Request::Notify(repo) => {
                crate::serve::notify::notify(repo.git, tokio::io::stdin(), tokio::io::stdout()).await?;
                Ok(ExitCode::SUCCESS)
            }
            Request::Git { service, repo, may_place } => {
                let variable = (!may_place).then_some((POLICY, NO_PLACEMENT));
                let code = run_git(service, &repo, variable).await?;
                Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from))
            }
        }
    }
}
