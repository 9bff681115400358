//! A git program between the body of a request and the body of its response.

use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use annex_gateway::gateway::{ErrorKind, HasKind};
use annex_protocol::shell::GitService;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::input::Input;
use super::plain;
use crate::doors::http::reply::Refused;
use crate::host::caller::Who;
use crate::host::git_service;
use crate::host::hub::{Hosted, Hub};

/// A git program to be run.
pub(super) struct GitRun {
    pub(super) service: GitService,
    pub(super) who: Who,
    pub(super) hosted: Arc<Hosted>,
    /// With all its arguments.
    pub(super) command: Command,
    /// What comes before that which the program says.
    pub(super) head: Bytes,
    /// What the client says.
    pub(super) input: Option<Input>,
}

/// Why an exchange was broken off.
#[derive(Debug, thiserror::Error)]
enum ExchangeError {
    #[error("the client went away")]
    Gone,
    #[error("nothing came from the client, or went to it, for too long")]
    Stalled,
    #[error("the request broke off: {0}")]
    Request(std::io::Error),
    #[error("git: {0}")]
    Program(std::io::Error),
    #[error("this server is ending")]
    Ending,
    #[error("git {service}: {words}")]
    Git { service: &'static str, words: String },
    #[error("the exchange was cut off")]
    CutOff,
}

impl HasKind for ExchangeError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Gone | Self::Stalled | Self::Request(_) => ErrorKind::BrokenOff,
            Self::Ending => ErrorKind::Busy,
            Self::Program(_) | Self::Git { .. } | Self::CutOff => ErrorKind::Internal,
        }
    }
}

/// Bytes that are moved at once, and pieces that wait for the client.
const PIECE_BYTES: usize = 64 << 10;
const MOST_PIECES_WAITING: usize = 4;

/// After the program has ended, the rest of the client's request is read for a while: otherwise the client may never
/// see the answer.
const HEARD_OUT_BYTES: usize = 256 << 20;

/// The end of what the program says to its standard error is kept.
const MOST_MESSAGE_BYTES: usize = 4096;

/// A program that is told to end has this long to do so.
const ENDING_TIME: Duration = Duration::from_secs(3);

/// Runs the program. Returns when the program has said the first thing, or failed without a word.
pub(super) async fn run(hub: &Hub, mut run: GitRun) -> Result<Body, Refused> {
    let stdin = if run.input.is_some() { Stdio::piped() } else { Stdio::null() };
    run.command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = run.command.spawn().map_err(|error| Refused::of(ExchangeError::Program(error)))?;
    let (sender, mut pieces) = mpsc::channel(MOST_PIECES_WAITING);
    let (outcome, ended) = oneshot::channel();
    hub.shutdown().running.spawn(attend(hub.clone(), run, child, sender, outcome));
    let Some(first) = pieces.recv().await else {
        return ended.await.unwrap_or(Err(ExchangeError::CutOff)).map(|()| Body::empty()).map_err(Refused::of);
    };
    let rest = stream::unfold(Some((Some(first), pieces, ended)), |state| async move {
        let (first, mut pieces, ended) = state?;
        if let Some(piece) = if first.is_some() { first } else { pieces.recv().await } {
            return Some((Ok(piece), Some((None, pieces, ended))));
        }
        // A response that was cut off must not look complete.
        ended.await.unwrap_or(Err(ExchangeError::CutOff)).err().map(|problem| (Err(problem), None))
    });
    Ok(Body::from_stream(rest))
}

type Pieces = mpsc::Sender<Bytes>;

/// How an exchange ended.
type ExchangeEnd = Result<(), ExchangeError>;

/// Stays with the program until it has ended and everything that it says was passed on.
async fn attend(hub: Hub, run: GitRun, mut child: Child, pieces: Pieces, outcome: oneshot::Sender<ExchangeEnd>) {
    let GitRun { service, who, hosted, head, input, .. } = run;
    let stalled = hub.site().config().limits.stalled;
    let (mut messages, mut said) = (Vec::new(), 0);
    // Open until the program has ended: it is not to be ended by a signal about them.
    let (stdin, mut stdout, mut stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let talked = {
        let talk = async {
            tokio::try_join!(
                feed(stdin, input, stalled),
                pass_on(head, stdout.as_mut(), &pieces, stalled, &mut said),
                listen(stderr.as_mut(), &mut messages),
            )
        };
        tokio::select! {
            talked = talk => talked.map(drop),
            () = pieces.closed() => Err(ExchangeError::Gone),
            () = hub.shutdown().stop.cancelled() => Err(ExchangeError::Ending),
        }
    };
    let status = end(&mut child, talked.is_ok(), service).await;
    let name = &hosted.repo.name;
    if let Err(error) = git_service::after(service, &hub, &hosted).await {
        tracing::error!("{name}: {error}");
    }
    let words =
        String::from_utf8_lossy(&messages).replace(&hosted.repo.git.dir().display().to_string(), &name.to_string());
    let broken = talked.is_err();
    let problem = match (talked, status) {
        (Ok(()), Ok(status)) if status.success() => None,
        (Ok(()), Ok(status)) => Some(ExchangeError::Git { service: plain(service), words: failure(&words, status) }),
        (Ok(()), Err(error)) => Some(ExchangeError::Program(error)),
        (Err(broken), _) => Some(broken),
    };
    let reason = problem.as_ref().map(ExchangeError::to_string).unwrap_or_default();
    let kind = problem.as_ref().map(|problem| problem.kind().as_str()).unwrap_or_default();
    tracing::info!(
        target: "annex_keep::request", user = %who, repository = %name, door = "http", operation = plain(service),
        bytes = said, outcome = if problem.is_none() { "done" } else { "failed" }, kind, reason
    );
    // What a program said before it failed stands in git's own protocol, whose reader knows what is missing.
    let problem = problem.filter(|_| broken || said == 0);
    let _ = outcome.send(problem.map_or(Ok(()), Err));
}

fn failure(words: &str, status: ExitStatus) -> String {
    let words = words.trim();
    if words.is_empty() { status.to_string() } else { words.replace('\n', "; ") }
}

/// Passes on what the client says. A program that does not listen any more does not keep the client from hearing it.
async fn feed(stdin: Option<ChildStdin>, input: Option<Input>, stalled: Duration) -> Result<(), ExchangeError> {
    let (mut stdin, Some(mut input)) = (stdin, input) else { return Ok(()) };
    let mut buffer = BytesMut::with_capacity(PIECE_BYTES);
    let mut unheard = 0;
    loop {
        buffer.clear();
        let read = timeout(stalled, input.read_buf(&mut buffer)).await.map_err(|_| ExchangeError::Stalled)?;
        let count = read.map_err(ExchangeError::Request)?;
        if count == 0 {
            return Ok(());
        }
        if let Some(pipe) = &mut stdin {
            if pipe.write_all(&buffer).await.is_err() {
                stdin = None;
            }
        } else {
            unheard += count;
            if unheard > HEARD_OUT_BYTES {
                return Ok(());
            }
        }
    }
}

/// Passes on what the program says; counts its bytes.
async fn pass_on(
    mut head: Bytes,
    stdout: Option<&mut ChildStdout>,
    pieces: &Pieces,
    stalled: Duration,
    said: &mut usize,
) -> Result<(), ExchangeError> {
    let Some(stdout) = stdout else { return Ok(()) };
    loop {
        let mut buffer = BytesMut::with_capacity(PIECE_BYTES);
        let count = stdout.read_buf(&mut buffer).await.map_err(ExchangeError::Program)?;
        if count == 0 {
            return Ok(());
        }
        *said += count;
        // Not alone: a program that fails at once is to be told by the status.
        let head = std::mem::take(&mut head);
        for piece in [head, buffer.freeze()].into_iter().filter(|piece| !piece.is_empty()) {
            pieces.send_timeout(piece, stalled).await.map_err(|error| match error {
                mpsc::error::SendTimeoutError::Timeout(_) => ExchangeError::Stalled,
                mpsc::error::SendTimeoutError::Closed(_) => ExchangeError::Gone,
            })?;
        }
    }
}

/// Keeps the end of what the program complains about.
async fn listen(stderr: Option<&mut ChildStderr>, messages: &mut Vec<u8>) -> Result<(), ExchangeError> {
    let Some(stderr) = stderr else { return Ok(()) };
    read_end(stderr, messages).await.map_err(ExchangeError::Program)
}

async fn read_end(from: &mut (impl AsyncRead + Unpin), kept: &mut Vec<u8>) -> std::io::Result<()> {
    while from.read_buf(kept).await? > 0 {
        let surplus = kept.len().saturating_sub(MOST_MESSAGE_BYTES);
        kept.drain(..surplus);
    }
    Ok(())
}

/// Waits for the program to end. One that is not to go on is told.
///
/// A push hears that by the end of its input: only then git removes what it received. A fetch has nothing to remove.
async fn end(child: &mut Child, by_itself: bool, service: GitService) -> std::io::Result<ExitStatus> {
    if by_itself || (service == GitService::ReceivePack && timeout(ENDING_TIME, child.wait()).await.is_ok()) {
        return child.wait().await;
    }
    if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) {
        let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
    }
    if timeout(ENDING_TIME, child.wait()).await.is_err() {
        child.start_kill()?;
    }
    child.wait().await
}
