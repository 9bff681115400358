//! A program that speaks the P2P protocol on its standard input and output.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use annex_protocol::shell::{Action, AnnexCommand, Directory};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::node::peer::Peer;
use crate::wire::Wire;

/// How the program is started.
#[derive(Debug, Clone)]
pub struct Program {
    words: Vec<OsString>,
}

/// How long a program may go on after its input has ended.
///
/// git-annex writes its git-annex branch then; killed while git works for it, it would leave a lock file behind.
const GRACE: Duration = Duration::from_secs(30);
/// How much is kept of what a program says on its standard error.
const MAX_TEXT: usize = 4096;

impl Program {
    /// Makes the program from its words, its name first.
    pub fn new(words: Vec<Vec<u8>>) -> Self {
        Self { words: words.into_iter().map(OsString::from_vec).collect() }
    }

    /// Makes the system's ssh with its own configuration and agent, for one command line of the far side.
    ///
    /// It never asks for a password: nobody is there to answer.
    pub fn ssh(host: &str, port: Option<u16>, user: Option<&str>, line: Vec<u8>) -> Self {
        let mut words: Vec<OsString> = vec!["ssh".into(), "-oBatchMode=yes".into()];
        if let Some(port) = port {
            words.extend(["-p".into(), port.to_string().into()]);
        }
        if let Some(user) = user {
            words.extend(["-l".into(), user.into()]);
        }
        words.extend(["-T".into(), "--".into(), host.into(), OsString::from_vec(line)]);
        Self { words }
    }

    /// Returns the command line that makes git-annex-shell speak the P2P protocol for a repository.
    pub fn line_of_git_annex_shell(peer: &Peer, path: &[u8]) -> Vec<u8> {
        let action = Action::P2pStdio { client: peer.client.clone() };
        let mut command = AnnexCommand::new(action, Directory::new(path));
        command.uuid = Some(peer.uuid.clone());
        command.to_line()
    }

    /// Starts it.
    pub(super) fn start(&self) -> io::Result<(Wire<ChildStdout, ChildStdin>, Process)> {
        let (name, arguments) = self.words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        // A group of its own: a Ctrl-C for the gateway lets transfers under way end.
        let mut command = Command::new(name);
        command.args(arguments).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| {
            io::Error::new(error.kind(), format!("cannot start {}: {error}", name.to_string_lossy()))
        })?;
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(errors)) = (input, output, errors) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let process = Process { child: Some(child), errors: Errors::listen(errors) };
        Ok((Wire::new(output, input), process))
    }
}

/// A program that runs. Once its streams are closed and this is dropped, it ends, by itself or killed.
pub(super) struct Process {
    child: Option<Child>,
    errors: Errors,
}

impl Process {
    /// Returns the last line that the program has said on its standard error.
    pub(super) async fn last_words(&mut self) -> String {
        self.errors.last_line().await
    }

    /// Ends it now: it has stopped answering.
    pub(super) fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            // It may just have ended.
            let _ = child.start_kill();
        }
    }

    /// Waits for its end, after its streams were closed; kills it when that takes too long.
    pub(super) async fn end(mut self, patience: Duration) {
        if let Some(child) = self.child.take() {
            end(child, patience).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Without a runtime the gateway itself ends; the program's input ends with it.
        if let (Some(child), Ok(runtime)) = (self.child.take(), Handle::try_current()) {
            runtime.spawn(end(child, GRACE));
        }
    }
}

async fn end(mut child: Child, patience: Duration) {
    if tokio::time::timeout(patience, child.wait()).await.is_err() {
        let _ = child.start_kill();
        let _ = child.wait().await;
    }
}

/// What a program says on its standard error.
struct Errors {
    text: Arc<Mutex<Vec<u8>>>,
    reading: JoinHandle<()>,
}

impl Errors {
    fn listen(mut errors: ChildStderr) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&text);
        let reading = tokio::spawn(async move { keep_end(&mut errors, &kept).await });
        Self { text, reading }
    }

    async fn last_line(&mut self) -> String {
        // A program that has just ended has said why; one that lives on is not waited for.
        let _ = tokio::time::timeout(Duration::from_millis(500), &mut self.reading).await;
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&text);
        // git-annex ends with a count of what failed, after the reason.
        let counts = |line: &str| line.ends_with(" failed") && line.contains(": ");
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !counts(line));
        lines.next_back().unwrap_or_default().to_owned()
    }
}

/// Reads to the end, and keeps the last part.
async fn keep_end(reader: &mut (impl AsyncRead + Unpin), kept: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = reader.read(&mut buffer).await {
        let mut text = kept.lock().unwrap_or_else(PoisonError::into_inner);
        text.extend_from_slice(buffer.get(..length).unwrap_or_default());
        let surplus = text.len().saturating_sub(MAX_TEXT);
        text.drain(..surplus);
    }
}
