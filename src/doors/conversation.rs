//! One command of an ssh client, from its first byte to its exit code: the same for every door that runs commands.

use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::Arc;

use annex_gateway::site::user::Role;
use annex_protocol::shell::{Command, GitService};
use keep_store::base::task::blocking;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::process::Child;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::doors::notify;
use crate::doors::p2p::{self, Service};
use crate::doors::shell::{ShellTask, greeting, understand};
use crate::error::Failure;
use crate::host::caller::Caller;
use crate::host::git_service;
use crate::host::hub::{Hosted, Hub};
use crate::host::traffic::Scope;

/// The standard streams of a command.
pub struct Streams {
    /// What the client sends.
    pub input: Box<dyn AsyncRead + Send + Unpin>,
    /// What the client is answered.
    pub output: Box<dyn AsyncWrite + Send + Unpin>,
    /// What the client's user should read.
    pub errors: Box<dyn AsyncWrite + Send + Unpin>,
    /// How a program that is started gets them.
    pub programs: Programs,
}

/// How a program that is started for a client gets the client's streams.
pub enum Programs {
    /// They are this process's own.
    Inherit,
    /// They are these files.
    Files([OwnedFd; 3]),
    /// Everything is copied.
    Copy,
}

/// A command of a client.
pub struct ClientCommand {
    /// What it is; `None` for somebody who just logs in.
    pub command: Option<Command>,
    /// The version of git's protocol that the client asks for, as in `GIT_PROTOCOL`.
    pub git_protocol: Option<String>,
    /// Through which door it came.
    pub door: &'static str,
}

/// Does what a client asks, and returns the exit code. What goes wrong is told to the client.
pub async fn converse(hub: &Hub, caller: &Caller, asked: ClientCommand, mut streams: Streams) -> u8 {
    match converse_or_fail(hub, caller, asked, &mut streams).await {
        Ok(code) => code,
        Err(failure) => {
            tracing::debug!(user = %caller.who, "refused or failed: {}", failure.text);
            let line = format!("annex-keep: {}\n", failure.text);
            // A client that is gone cannot be told.
            let _ = streams.errors.write_all(line.as_bytes()).await;
            let _ = streams.errors.flush().await;
            1
        }
    }
}

async fn converse_or_fail(
    hub: &Hub,
    caller: &Caller,
    asked: ClientCommand,
    streams: &mut Streams,
) -> Result<u8, Failure> {
    let Some(command) = asked.command else {
        let (site, caller) = (hub.site(), caller.clone());
        let lines = blocking(move || greeting(&site, &caller)).await?;
        answer(streams, &lines.join("\n")).await?;
        return Ok(0);
    };
    let (asking_hub, asking) = (hub.clone(), caller.clone());
    match blocking(move || understand(&asking_hub, &asking, &command)).await? {
        ShellTask::Nothing => Ok(0),
        ShellTask::ConfigList(cluster) => {
            answer(streams, &format!("annex.uuid={cluster}\ncore.gcrypt-id=")).await?;
            Ok(0)
        }
        ShellTask::P2p { hosted, uuid, mode } => {
            let uuid = uuid.unwrap_or_else(|| hosted.repo.identity.cluster.clone());
            let (gateway, target) = hub.target(&hosted, &uuid).await?;
            let traffic = hub.traffic().clone();
            let scope = Scope { traffic, who: caller.who.clone(), repo: hosted.repo.name.clone(), door: asked.door };
            let drain = hub.shutdown().drain.clone();
            let (notes, noted) = tokio::sync::mpsc::unbounded_channel();
            let service = Service { gateway, uuid, target, mode, scope, drain, notes };
            let served = p2p::serve(service, &mut streams.input, &mut streams.output);
            let ((), served) = tokio::join!(pass_on(noted, &mut streams.errors), served);
            served?;
            Ok(0)
        }
        ShellTask::Notify(hosted) => {
            let git = hosted.repo.git.clone();
            notify::notify(git, &hub.shutdown().drain, &mut streams.input, &mut streams.output).await?;
            Ok(0)
        }
        ShellTask::Git { service, hosted, role } => {
            let protocol = asked.git_protocol.as_deref();
            run_git(hub, service, &hosted, (role, protocol), streams).await
        }
    }
}

/// Tells the client's user what is noted, until nothing can be any more.
async fn pass_on(mut noted: UnboundedReceiver<String>, errors: &mut (dyn AsyncWrite + Send + Unpin)) {
    while let Some(note) = noted.recv().await {
        let line = format!("annex-keep: {}\n", note.replace(['\n', '\r'], " "));
        // A client that is gone cannot be told.
        let _ = errors.write_all(line.as_bytes()).await;
        let _ = errors.flush().await;
    }
}

async fn answer(streams: &mut Streams, text: &str) -> Result<(), Failure> {
    streams.output.write_all(format!("{text}\n").as_bytes()).await?;
    Ok(streams.output.flush().await?)
}

/// Runs a git program for the client. Returns its exit code.
async fn run_git(
    hub: &Hub,
    service: GitService,
    hosted: &Arc<Hosted>,
    (role, protocol): (Role, Option<&str>),
    streams: &mut Streams,
) -> Result<u8, Failure> {
    git_service::before(service, hosted).await?;
    let mut program = git_service::command(role, protocol);
    program.arg(service.as_str().trim_start_matches("git-")).arg(hosted.repo.git.dir());
    let status = match std::mem::replace(&mut streams.programs, Programs::Copy) {
        Programs::Inherit => program.status().await?,
        Programs::Files([input, output, errors]) => program.stdin(input).stdout(output).stderr(errors).status().await?,
        Programs::Copy => {
            let child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
            copy(child, streams).await?
        }
    };
    git_service::after(service, hub, hosted).await?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Copies a program's streams from and to the client until the program ends. A client that is gone ends the program.
async fn copy(mut child: Child, streams: &mut Streams) -> Result<std::process::ExitStatus, Failure> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let Streams { input, output, errors, .. } = streams;
    let sending = async {
        if let Some(mut stdin) = stdin {
            // The program may end before it has read everything.
            let _ = tokio::io::copy(input, &mut stdin).await;
        }
        std::future::pending::<()>().await;
    };
    let receiving = async {
        let answers = async {
            let Some(mut stdout) = stdout else { return Ok(()) };
            tokio::io::copy(&mut stdout, output).await?;
            output.flush().await
        };
        let messages = async {
            let Some(mut stderr) = stderr else { return Ok(()) };
            tokio::io::copy(&mut stderr, errors).await?;
            errors.flush().await
        };
        tokio::try_join!(answers, messages)
    };
    tokio::select! {
        () = sending => {}
        received = receiving => { received?; }
    }
    Ok(child.wait().await?)
}
