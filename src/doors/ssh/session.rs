//! One session: a command of the client, its streams, and its exit code.

use std::time::Duration;

use annex_protocol::shell::Command;
use keep_store::base::task::blocking;
use russh::server::Msg;
use russh::{Channel, ChannelWriteHalf};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::auth::Identity;
use super::streams::{Answers, input};
use crate::doors::conversation::{ClientCommand, Programs, Streams, converse};
use crate::doors::shell::greeting;
use crate::error::Failure;
use crate::host::caller::{Caller, Who};
use crate::host::hub::Hub;

/// A session that the client opened, and has not asked anything of yet.
pub(super) struct Opened {
    pub(super) channel: Channel<Msg>,
    pub(super) turn: OwnedSemaphorePermit,
    pub(super) git_protocol: Option<String>,
    pub(super) terminal: bool,
}

/// What a client asks of its session.
pub(super) enum SessionRequest {
    /// Nothing: to be logged in.
    Nothing,
    /// A command.
    Command(Vec<u8>),
    /// A subsystem, for example `sftp`.
    Subsystem(String),
}

/// The text for clients that ask for anything else.
const SERVED: &str = "this is annex-keep, for git and git-annex: it serves git-upload-pack, git-receive-pack, \
    git-upload-archive and git-annex-shell, no shell and no files; ssh without a command says what you may use";

/// The number of standard error in the protocol.
const ERRORS: u32 = 1;

/// How long the end of a session may take to reach the client.
const END_TIME: Duration = Duration::from_secs(5);

/// Does what the client asks, tells it the exit code, and closes the session.
///
/// `gone` is cancelled when the client closes the session, `cut` is how the connection is ended.
pub(super) async fn run(
    hub: Hub,
    identity: Identity,
    ask: SessionRequest,
    opened: Opened,
    cut: CancellationToken,
    gone: CancellationToken,
) {
    let Opened { channel, turn, git_protocol, terminal } = opened;
    let (reading, writing) = channel.split();
    let patience = hub.site().config().limits.stalled;
    let output = Answers::new(writing.make_writer(), gone.clone(), patience);
    let errors = Answers::new(writing.make_writer_ext(Some(ERRORS)), gone, patience);
    let caller = Caller::new(Who::User(identity.user));
    let line_end = if terminal { "\r\n" } else { "\n" };
    // A command that the certificate forces replaces the one that was asked for.
    let ask = identity.forced.map_or(ask, SessionRequest::Command);
    let code = match asked(ask) {
        Ok(Some(command)) => {
            let asked = ClientCommand { command: Some(command), git_protocol, door: "ssh" };
            let streams = Streams {
                input: Box::new(input(reading)),
                output: Box::new(output),
                errors: Box::new(errors),
                programs: Programs::Copy,
            };
            converse(&hub, &caller, asked, streams).await
        }
        Ok(None) => match welcome(&hub, caller, line_end).await {
            Ok(text) => say(output, &text, 0).await,
            Err(failure) => say(errors, &format!("annex-keep: {}{line_end}", failure.text), 1).await,
        },
        Err(refusal) => say(errors, &format!("annex-keep: {refusal}{line_end}"), 1).await,
    };
    // Before the client hears of the end: it may open its next session at once.
    drop(turn);
    if tokio::time::timeout(END_TIME, end(&writing, code)).await.is_err() {
        cut.cancel();
    }
}

/// Returns the command that is asked for; the error is a text for the client.
fn asked(ask: SessionRequest) -> Result<Option<Command>, String> {
    match ask {
        SessionRequest::Nothing => Ok(None),
        SessionRequest::Command(line) => Command::parse(&line).map(Some).map_err(|error| format!("{error}; {SERVED}")),
        SessionRequest::Subsystem(name) => Err(format!("there is no {} here; {SERVED}", name.escape_default())),
    }
}

async fn welcome(hub: &Hub, caller: Caller, line_end: &str) -> Result<String, Failure> {
    let site = hub.site();
    let lines = blocking(move || greeting(&site, &caller)).await?;
    Ok(lines.iter().flat_map(|line| [line.as_str(), line_end]).collect())
}

async fn say(mut to: impl AsyncWrite + Unpin, text: &str, code: u8) -> u8 {
    // A client that is gone cannot be told.
    let _ = to.write_all(text.as_bytes()).await;
    code
}

/// Ends a session in the order that OpenSSH expects.
async fn end(channel: &ChannelWriteHalf<Msg>, code: u8) {
    // Each fails only if the connection is gone.
    let _ = channel.exit_status(code.into()).await;
    let _ = channel.eof().await;
    let _ = channel.close().await;
}
