//! A running program: its lines to the jobs that they are for, and its end.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annex_protocol::external::{HostMessage, Job, ProgramMessage, RemoteRequest};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::breakdown::Breakdown;

/// A program that runs. Dropped, its input is closed, and it is killed if it does not end then.
pub(super) struct Process {
    shared: Arc<Shared>,
    input: tokio::sync::Mutex<ChildStdin>,
    /// The program ends by itself, or is killed after [`GRACE`].
    close: CancellationToken,
    idle_since: Mutex<Instant>,
}

struct Shared {
    jobs: Mutex<Jobs>,
    /// Kills the program.
    kill: CancellationToken,
}

#[derive(Default)]
struct Jobs {
    /// Lines carry job numbers: ASYNC was agreed to.
    tagged: bool,
    open: HashMap<u64, mpsc::Sender<Line>>,
    /// Numbers whose job will never end: they are not used again.
    abandoned: u64,
    /// Why the program can be asked no more.
    ended: Option<String>,
}

/// A conversation with a program: one request at a time.
pub(super) struct Channel {
    pub(super) process: Arc<Process>,
    number: u64,
    lines: mpsc::Receiver<Line>,
    /// The program still owes an answer.
    pub(super) busy: bool,
}

/// A message for a job, or what came in place of one.
type Line = Result<ProgramMessage, String>;

/// The first job number.
const FIRST_JOB: u64 = 1;

/// Lines that wait for a job. One that is not read holds up the program, not our memory.
const WAITING_LINES: usize = 16;

/// The longest line that a program may send.
const LONGEST_LINE: usize = 256 << 10;

/// How long a program may take to end when its input is closed.
const GRACE: Duration = Duration::from_secs(5);

impl Process {
    /// Starts a program in a directory, and opens a first conversation.
    pub(super) fn start(node: &str, program: &OsStr, dir: &Path) -> Result<Channel, Breakdown> {
        let mut command = Command::new(program);
        command.current_dir(dir).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own, so that what a script started ends with it. When the gateway ends, the program reads the
        // end of its input: it may have something to put in order.
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| {
            let reason = match error.kind() {
                std::io::ErrorKind::NotFound => "there is no such program in PATH".to_owned(),
                _ => error.to_string(),
            };
            Breakdown::Broken(format!("starting {}: {reason}", program.display()))
        })?;
        let lost = || Breakdown::Broken("the program has no pipes".to_owned());
        let input = child.stdin.take().ok_or_else(lost)?;
        let output = child.stdout.take().ok_or_else(lost)?;
        let errors = child.stderr.take().ok_or_else(lost)?;
        let (kill, close) = (CancellationToken::new(), CancellationToken::new());
        let (send, lines) = mpsc::channel(WAITING_LINES);
        let jobs = Jobs { open: HashMap::from([(FIRST_JOB, send)]), ..Jobs::default() };
        let shared = Arc::new(Shared { jobs: Mutex::new(jobs), kill });
        tokio::spawn(relay(node.to_owned(), errors));
        tokio::spawn(Arc::clone(&shared).run(child, output, close.clone()));
        let (input, idle_since) = (tokio::sync::Mutex::new(input), Mutex::new(Instant::now()));
        let process = Arc::new(Self { shared, input, close, idle_since });
        Ok(Channel { process, number: FIRST_JOB, lines, busy: false })
    }

    /// From now on lines carry job numbers.
    pub(super) fn tag(&self) {
        self.shared.jobs().tagged = true;
    }

    pub(super) fn is_tagged(&self) -> bool {
        self.shared.jobs().tagged
    }

    pub(super) fn is_alive(&self) -> bool {
        self.shared.jobs().ended.is_none()
    }

    /// Notes that it has no work.
    pub(super) fn touch(&self) {
        *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(super) fn idle_for(&self) -> Duration {
        self.idle_since.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Opens a conversation.
    pub(super) fn open(self: &Arc<Self>) -> Result<Channel, Breakdown> {
        let mut jobs = self.shared.jobs();
        if let Some(reason) = &jobs.ended {
            return Err(Breakdown::Broken(reason.clone()));
        }
        let (send, lines) = mpsc::channel(WAITING_LINES);
        let mut number = jobs.abandoned + FIRST_JOB;
        while jobs.open.contains_key(&number) {
            number += 1;
        }
        jobs.open.insert(number, send);
        Ok(Channel { process: Arc::clone(self), number, lines, busy: false })
    }

    /// Ends the program at once, and with it everything that is asked of it.
    pub(super) fn kill(&self, reason: &str) {
        self.shared.end(reason);
        self.shared.kill.cancel();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.close.cancel();
    }
}

impl Channel {
    /// Sends a message. To be bounded in time by the caller, who has to kill the program when it broke that off.
    pub(super) async fn send(&self, message: &HostMessage) -> Result<(), Breakdown> {
        let mut line = Vec::new();
        if self.process.is_tagged() {
            Job(self.number).write_to(&mut line);
        }
        message.write_to(&mut line);
        let mut input = self.process.input.lock().await;
        let sent = match input.write_all(&line).await {
            Ok(()) => input.flush().await,
            failed => failed,
        };
        drop(input);
        match sent {
            Ok(()) => Ok(()),
            // The other end of the pipe knows better why.
            Err(_) => {
                self.process.shared.kill_soon().await;
                Err(self.reason())
            }
        }
    }

    /// Returns the program's next message for this conversation.
    pub(super) async fn receive(&mut self) -> Result<ProgramMessage, Breakdown> {
        match self.lines.recv().await {
            Some(message) => message.map_err(Breakdown::Broken),
            None => Err(self.reason()),
        }
    }

    fn reason(&self) -> Breakdown {
        let reason = self.process.shared.jobs().ended.clone();
        Breakdown::Broken(reason.unwrap_or_else(|| "the program ended".to_owned()))
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        let mut jobs = self.process.shared.jobs();
        if self.busy {
            jobs.abandoned = jobs.abandoned.max(self.number);
        }
        jobs.open.remove(&self.number);
    }
}

impl Shared {
    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all conversations; the first reason counts.
    fn end(&self, reason: &str) {
        let mut jobs = self.jobs();
        jobs.ended.get_or_insert_with(|| reason.to_owned());
        jobs.open.clear();
    }

    /// Waits until the end of the program is known, for a moment.
    async fn kill_soon(&self) {
        let ended = async {
            while self.jobs().ended.is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let _unknown = tokio::time::timeout(GRACE, ended).await;
        self.kill.cancel();
    }

    /// Hands out lines until the program ends, and sees to its end.
    async fn run(self: Arc<Self>, mut child: Child, output: ChildStdout, close: CancellationToken) {
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let mut output = BufReader::new(output);
        let closed = async {
            close.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        let broken = tokio::select! {
            broken = self.hand_out(&mut output) => broken,
            () = self.kill.cancelled() => Some("it was stopped".to_owned()),
            () = closed => Some("it did not end".to_owned()),
        };
        // An end of output is mostly the end of the program; its status says more.
        let status = match &broken {
            Some(_) => None,
            None => tokio::time::timeout(GRACE, child.wait()).await.ok().and_then(Result::ok),
        };
        self.end(&broken.unwrap_or_else(|| ended(status)));
        // Once it is reaped, its number may be another's.
        if let (None, Some(group)) = (status, group) {
            let _gone_already = killpg(group, Signal::SIGKILL);
            let _reaped = child.wait().await;
        }
    }

    /// Returns what is wrong with the program's lines; `None` when it ended them.
    async fn hand_out(&self, output: &mut BufReader<ChildStdout>) -> Option<String> {
        let mut line = Vec::new();
        loop {
            let read = next_line(output, &mut line, LONGEST_LINE).await;
            // A last line without a line feed is incomplete.
            match (read, line.pop()) {
                (Ok(true), Some(b'\n')) => {}
                (Ok(true), _) if line.len() + 1 >= LONGEST_LINE => {
                    return Some("it sent a line that is too long".to_owned());
                }
                _ => return None,
            }
            let unreadable = |what: &str| {
                let shown = line.get(..80).unwrap_or(&line);
                format!("it sent {what}: \"{}\"", shown.escape_ascii())
            };
            let (job, text) = match Job::parse(&line).filter(|_| self.jobs().tagged) {
                Some((job, text)) => (Some(job), text),
                None => (None, &line[..]),
            };
            let message = match (ProgramMessage::parse(text), job) {
                (Ok(ProgramMessage::Error(text)), None) => {
                    let text = String::from_utf8_lossy(text.as_bytes()).into_owned();
                    return Some(format!("it says: {text}"));
                }
                (Ok(message), _) => Ok(message),
                // A bad line with a job number ends only that job.
                (Err(error), Some(_)) => Err(unreadable(&format!("a line that is no message ({error})"))),
                (Err(error), None) => return Some(unreadable(&format!("a line that is no message ({error})"))),
            };
            let receiver = {
                let jobs = self.jobs();
                match job {
                    Some(job) => jobs.open.get(&job.0).cloned().ok_or(job.0 <= jobs.abandoned),
                    None if jobs.tagged => return Some(unreadable("a line without a job number")),
                    None => jobs.open.values().next().cloned().ok_or(message.as_ref().is_ok_and(is_remark)),
                }
            };
            match receiver {
                // A job that ended meanwhile says why by itself.
                Ok(receiver) => drop(receiver.send(message).await),
                // A remark after the work, or the late answer of a job that was given up.
                Err(true) => {}
                Err(false) => return Some(unreadable("a line that nobody asked for")),
            }
        }
    }
}

fn is_remark(message: &ProgramMessage) -> bool {
    use RemoteRequest as R;
    matches!(message, ProgramMessage::RemoteRequest(R::Debug { .. } | R::Info { .. } | R::Progress { .. }))
}

fn ended(status: Option<ExitStatus>) -> String {
    match status {
        Some(status) => format!("it ended unexpectedly ({status})"),
        None => "it closed its output".to_owned(),
    }
}

/// Passes what a program writes to standard error on to the log.
async fn relay(node: String, errors: ChildStderr) {
    let mut errors = BufReader::new(errors);
    let mut line = Vec::new();
    while let Ok(true) = next_line(&mut errors, &mut line, 8 << 10).await {
        tracing::info!("node {node}: program: {}", String::from_utf8_lossy(line.trim_ascii_end()));
    }
}

/// Reads a line with its line feed; one that is longer than `limit` comes in parts. False at the end.
async fn next_line(input: &mut (impl AsyncBufRead + Unpin), line: &mut Vec<u8>, limit: usize) -> std::io::Result<bool> {
    line.clear();
    loop {
        let room = limit - line.len();
        let available = input.fill_buf().await?;
        if available.is_empty() {
            return Ok(!line.is_empty());
        }
        let available = available.get(..room).unwrap_or(available);
        let end = available.iter().position(|byte| *byte == b'\n');
        let taken = available.get(..end.map_or(available.len(), |end| end + 1)).unwrap_or_default();
        line.extend_from_slice(taken);
        let used = taken.len();
        input.consume(used);
        if end.is_some() || line.len() >= limit {
            return Ok(true);
        }
    }
}
