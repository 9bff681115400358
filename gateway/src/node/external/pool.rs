//! The running programs of a node: one for all jobs if it can do ASYNC, else one a job, up to a bound.

use std::ffi::OsString;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annex_protocol::external::{Availability, Request, Response};
use keep_store::base::task::blocking;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::ask::Watch;
use super::host::Host;
use super::layout::Ask;
use super::process::{Channel, Process};
use super::state::Kind;
use super::{Times, Trouble};
use crate::node::error::NodeError;

/// The programs of a node.
pub(super) struct Pool {
    pub(super) host: Host,
    program: OsString,
    times: Times,
    /// Transfers at once.
    transfers: Semaphore,
    /// Short requests at once, which do not wait for transfers.
    questions: Semaphore,
    /// Held while a program is started: one after the other.
    starting: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The program that does all jobs.
    shared: Option<Arc<Process>>,
    /// Programs that do one job at a time, and have none.
    idle: Vec<Arc<Process>>,
    /// RETRIEVE writes its file from front to back, by what the last one said that was started.
    ordered: Option<bool>,
    /// How often starting one has failed since it last did not.
    failures: u32,
    /// Nothing is started before, and why.
    barred: Option<(Instant, String)>,
}

/// Short requests at once.
const QUESTIONS: usize = 4;

/// The first wait after a failure to start; doubled with each.
const BACK_OFF: Duration = Duration::from_millis(500);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(60);

/// How long a program without work is kept.
const IDLE: Duration = Duration::from_secs(600);

impl Pool {
    pub(super) fn new(host: Host, program: OsString, processes: usize, times: Times) -> Self {
        let (transfers, questions) = (Semaphore::new(processes.max(1)), Semaphore::new(QUESTIONS));
        let (starting, state) = (tokio::sync::Mutex::default(), Mutex::default());
        Self { host, program, times, transfers, questions, starting, state }
    }

    /// Has a program do something, and goes on to the end even when the caller does not wait.
    ///
    /// A program that breaks down is replaced, and the request is tried once more.
    pub(super) async fn run(self: &Arc<Self>, ask: Ask, watch: Watch) -> Result<Response, NodeError> {
        let pool = Arc::clone(self);
        let done = tokio::spawn(async move { pool.attempt(&ask, &watch).await }).await;
        done.unwrap_or_else(|lost| Err(NodeError::Unreachable(lost.to_string())))
    }

    async fn attempt(&self, ask: &Ask, watch: &Watch) -> Result<Response, NodeError> {
        // Transfers wait for those before them, each of which comes to an end.
        let turn = match ask.request {
            Request::Transfer { .. } | Request::TransferExport { .. } => self.transfers.acquire().await,
            _ => match tokio::time::timeout(self.times.answer, self.questions.acquire()).await {
                Ok(turn) => turn,
                Err(_) => return Err(NodeError::Unreachable("its programs are busy".to_owned())),
            },
        };
        let _turn = turn.map_err(|error| NodeError::Unreachable(error.to_string()))?;
        let mut last = String::new();
        for _ in 0..2 {
            if watch.cancelled.is_cancelled() {
                return Err(NodeError::Failed(Trouble::Cancelled.to_string()));
            }
            let mut channel = self.channel().await?;
            match channel.ask(ask, &self.host, &self.times, watch).await {
                Ok(response) => {
                    self.give_back(channel);
                    return Ok(response);
                }
                Err(Trouble::Broken(text)) => last = text,
                Err(Trouble::Hung(text)) => {
                    self.give_up(&channel, &text);
                    return Err(self.unreachable(ask.what(), &text));
                }
                Err(Trouble::Cancelled) => {
                    self.give_up(&channel, &Trouble::Cancelled.to_string());
                    return Err(NodeError::Failed(Trouble::Cancelled.to_string()));
                }
            }
            self.give_up(&channel, &last);
            tracing::warn!("node {}: {}: {last}", self.host.name, ask.what());
        }
        Err(self.unreachable(ask.what(), &last))
    }

    fn unreachable(&self, what: &str, text: &str) -> NodeError {
        let program = std::path::Path::new(&self.program).file_name().unwrap_or(&self.program);
        NodeError::Unreachable(format!("{}: {what}: {text}", program.display()))
    }

    /// Tells whether RETRIEVE writes its file from front to back; starts a program if none has been asked.
    pub(super) async fn is_ordered(&self) -> Result<bool, NodeError> {
        let known = self.state().ordered;
        if let Some(ordered) = known {
            return Ok(ordered);
        }
        let channel = self.channel().await?;
        self.give_back(channel);
        Ok(self.state().ordered.unwrap_or_default())
    }

    /// Returns a conversation with a program that is ready.
    async fn channel(&self) -> Result<Channel, NodeError> {
        if let Some(channel) = self.ready() {
            return Ok(channel);
        }
        let _starting = self.starting.lock().await;
        // Somebody may have started one meanwhile, or failed to.
        if let Some(channel) = self.ready() {
            return Ok(channel);
        }
        if let Some((until, reason)) = &self.state().barred
            && Instant::now() < *until
        {
            return Err(NodeError::Unreachable(reason.clone()));
        }
        let started = self.start().await;
        let mut state = self.state();
        match started {
            Ok((channel, ordered)) => {
                (state.failures, state.barred, state.ordered) = (0, None, Some(ordered));
                if channel.process.is_tagged() {
                    state.shared = Some(Arc::clone(&channel.process));
                }
                Ok(channel)
            }
            Err((what, trouble)) => {
                let error = self.unreachable(what, &trouble.to_string());
                let wait = (BACK_OFF * 2u32.saturating_pow(state.failures.min(16))).min(LONGEST_BACK_OFF);
                state.failures += 1;
                let NodeError::Unreachable(reason) = &error else { return Err(error) };
                state.barred = Some((Instant::now() + wait, reason.clone()));
                Err(error)
            }
        }
    }

    fn ready(&self) -> Option<Channel> {
        let mut state = self.state();
        if let Some(channel) = state.shared.as_ref().and_then(|process| process.open().ok()) {
            return Some(channel);
        }
        state.shared = None;
        std::iter::from_fn(|| state.idle.pop()).find_map(|process| process.open().ok())
    }

    /// Starts a program and makes it ready; returns whether RETRIEVE is ordered.
    async fn start(&self) -> Result<(Channel, bool), (&'static str, Trouble)> {
        self.initialize().await.map_err(|trouble| ("INITREMOTE", trouble))?;
        let mut channel = self.spawn().await.map_err(|trouble| ("PREPARE", trouble))?;
        match self.prepare(&mut channel).await {
            Ok(ordered) => Ok((channel, ordered)),
            Err(trouble) => {
                channel.process.kill(&trouble.to_string());
                Err(("PREPARE", trouble))
            }
        }
    }

    async fn prepare(&self, channel: &mut Channel) -> Result<bool, Trouble> {
        let (host, times, watch) = (&self.host, &self.times, Watch::default());
        match channel.ask(&Ask::plain(Request::Prepare), host, times, &watch).await? {
            Response::PrepareSuccess => {}
            Response::PrepareFailure { message } => return Err(said(message.as_bytes())),
            other => return Err(Trouble::Broken(format!("it answered PREPARE by {other:?}"))),
        }
        if let Response::Availability { availability: Availability::Unavailable } =
            channel.ask(&Ask::plain(Request::GetAvailability), host, times, &watch).await?
        {
            return Err(Trouble::Broken("it says that its store cannot be reached now".to_owned()));
        }
        Ok(channel.ask(&Ask::plain(Request::GetOrdered), host, times, &watch).await? == Response::Ordered)
    }

    async fn spawn(&self) -> Result<Channel, Trouble> {
        let mut channel = Process::start(&self.host.name, &self.program, &self.host.dir)?;
        match channel.greet(&self.times).await {
            Ok(()) => Ok(channel),
            Err(trouble) => {
                channel.process.kill(&trouble.to_string());
                Err(trouble)
            }
        }
    }

    /// Does INITREMOTE, in a process of its own as git-annex does, if that was not done with the present settings.
    async fn initialize(&self) -> Result<(), Trouble> {
        let state = &self.host.state;
        let settings = self.host.settings.iter().map(|(name, value)| format!("{name}={value}\n"));
        let settings: String = std::iter::once(format!("{}\n", self.host.kind)).chain(settings).collect();
        if state.get(Kind::Initialized, "").await?.as_deref() == Some(settings.as_bytes()) {
            return Ok(());
        }
        // Other processes of the gateway may be here too.
        let path = self.host.dir.with_file_name("initremote.lock");
        let lock = blocking(move || File::create(path).and_then(|file| file.lock().map(|()| file))).await;
        let _lock = lock.map_err(|error| Trouble::Broken(format!("locking its state: {error}")))?;
        if state.get(Kind::Initialized, "").await?.as_deref() == Some(settings.as_bytes()) {
            return Ok(());
        }
        // Settings that were changed come before what the program made of the old ones.
        for name in self.host.settings.keys() {
            state.unset(Kind::Setting, name).await?;
        }
        let mut channel = self.spawn().await?;
        let done = channel.ask(&Ask::plain(Request::InitRemote), &self.host, &self.times, &Watch::default()).await;
        let failed = match done {
            Ok(Response::InitRemoteSuccess) => None,
            Ok(Response::InitRemoteFailure { message }) => Some(said(message.as_bytes())),
            Ok(other) => Some(Trouble::Broken(format!("it answered INITREMOTE by {other:?}"))),
            Err(trouble) => Some(trouble),
        };
        match failed {
            None => Ok(state.set(Kind::Initialized, "", settings).await?),
            Some(trouble) => {
                channel.process.kill(&trouble.to_string());
                Err(trouble)
            }
        }
    }

    fn give_back(&self, channel: Channel) {
        let process = Arc::clone(&channel.process);
        drop(channel);
        if process.is_tagged() || !process.is_alive() {
            return;
        }
        process.touch();
        let mut state = self.state();
        state.idle.push(process);
        state.idle.retain(|process| process.idle_for() < IDLE);
    }

    /// Does without a program from now on. One that does other jobs too ends when those have.
    fn give_up(&self, channel: &Channel, reason: &str) {
        let process = &channel.process;
        if !process.is_tagged() {
            process.kill(reason);
        }
        let mut state = self.state();
        if state.shared.as_ref().is_some_and(|shared| Arc::ptr_eq(shared, process)) {
            state.shared = None;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn said(text: &[u8]) -> Trouble {
    Trouble::Broken(format!("it says: {}", String::from_utf8_lossy(text)))
}
