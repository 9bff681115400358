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
use super::breakdown::Breakdown;
use super::host::Host;
use super::layout::NamedRequest;
use super::process::{Channel, Process};
use super::remembered::About;
use super::times::Times;
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
    programs: Mutex<Programs>,
}

#[derive(Default)]
struct Programs {
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
const QUESTIONS_AT_ONCE: usize = 4;

/// The first wait after a failure to start; doubled with each.
const BACK_OFF: Duration = Duration::from_millis(500);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(60);

/// How long a program without work is kept.
const KEPT_IDLE: Duration = Duration::from_secs(600);

impl Pool {
    pub(super) fn new(host: Host, program: OsString, processes: usize, times: Times) -> Self {
        let (transfers, questions) = (Semaphore::new(processes.max(1)), Semaphore::new(QUESTIONS_AT_ONCE));
        let (starting, programs) = (tokio::sync::Mutex::default(), Mutex::default());
        Self { host, program, times, transfers, questions, starting, programs }
    }

    /// Has a program do something, and goes on to the end even when the caller does not wait.
    ///
    /// A program that breaks down is replaced, and the request is tried once more.
    pub(super) async fn run(self: &Arc<Self>, asked: NamedRequest, watch: Watch) -> Result<Response, NodeError> {
        let pool = Arc::clone(self);
        let done = tokio::spawn(async move { pool.attempt(&asked, &watch).await }).await;
        done.unwrap_or_else(|lost| Err(NodeError::Unreachable(lost.to_string())))
    }

    async fn attempt(&self, asked: &NamedRequest, watch: &Watch) -> Result<Response, NodeError> {
        // Transfers wait for those before them, each of which comes to an end.
        let turn = match asked.request {
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
                return Err(NodeError::Failed(Breakdown::Cancelled.to_string()));
            }
            let mut channel = self.channel().await?;
            match channel.ask(asked, &self.host, &self.times, watch).await {
                Ok(response) => {
                    self.give_back(channel);
                    return Ok(response);
                }
                Err(Breakdown::Broken(text)) => last = text,
                Err(Breakdown::Hung(text)) => {
                    self.give_up(&channel, &text);
                    return Err(self.unreachable(asked.what(), &text));
                }
                Err(Breakdown::Cancelled) => {
                    self.give_up(&channel, &Breakdown::Cancelled.to_string());
                    return Err(NodeError::Failed(Breakdown::Cancelled.to_string()));
                }
            }
            self.give_up(&channel, &last);
            tracing::warn!("node {}: {}: {last}", self.host.name, asked.what());
        }
        Err(self.unreachable(asked.what(), &last))
    }

    fn unreachable(&self, what: &str, text: &str) -> NodeError {
        let program = std::path::Path::new(&self.program).file_name().unwrap_or(&self.program);
        NodeError::Unreachable(format!("{}: {what}: {text}", program.display()))
    }

    /// Tells whether RETRIEVE writes its file from front to back; starts a program if none has been asked.
    pub(super) async fn is_ordered(&self) -> Result<bool, NodeError> {
        let known = self.programs().ordered;
        if let Some(ordered) = known {
            return Ok(ordered);
        }
        let channel = self.channel().await?;
        self.give_back(channel);
        Ok(self.programs().ordered.unwrap_or_default())
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
        if let Some((until, reason)) = &self.programs().barred
            && Instant::now() < *until
        {
            return Err(NodeError::Unreachable(reason.clone()));
        }
        let started = self.start().await;
        let mut programs = self.programs();
        match started {
            Ok((channel, ordered)) => {
                (programs.failures, programs.barred, programs.ordered) = (0, None, Some(ordered));
                if channel.process.is_tagged() {
                    programs.shared = Some(Arc::clone(&channel.process));
                }
                Ok(channel)
            }
            Err((what, trouble)) => {
                let error = self.unreachable(what, &trouble.to_string());
                let wait = (BACK_OFF * 2u32.saturating_pow(programs.failures.min(16))).min(LONGEST_BACK_OFF);
                programs.failures += 1;
                let NodeError::Unreachable(reason) = &error else { return Err(error) };
                programs.barred = Some((Instant::now() + wait, reason.clone()));
                Err(error)
            }
        }
    }

    fn ready(&self) -> Option<Channel> {
        let mut programs = self.programs();
        if let Some(channel) = programs.shared.as_ref().and_then(|process| process.open().ok()) {
            return Some(channel);
        }
        programs.shared = None;
        std::iter::from_fn(|| programs.idle.pop()).find_map(|process| process.open().ok())
    }

    /// Starts a program and makes it ready; returns whether RETRIEVE is ordered.
    async fn start(&self) -> Result<(Channel, bool), (&'static str, Breakdown)> {
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

    async fn prepare(&self, channel: &mut Channel) -> Result<bool, Breakdown> {
        let (host, times, watch) = (&self.host, &self.times, Watch::default());
        match channel.ask(&NamedRequest::plain(Request::Prepare), host, times, &watch).await? {
            Response::PrepareSuccess => {}
            Response::PrepareFailure { message } => return Err(said(message.as_bytes())),
            other => return Err(Breakdown::Broken(format!("it answered PREPARE by {other:?}"))),
        }
        if let Response::Availability { availability: Availability::Unavailable } =
            channel.ask(&NamedRequest::plain(Request::GetAvailability), host, times, &watch).await?
        {
            return Err(Breakdown::Broken("it says that its store cannot be reached now".to_owned()));
        }
        Ok(channel.ask(&NamedRequest::plain(Request::GetOrdered), host, times, &watch).await? == Response::Ordered)
    }

    async fn spawn(&self) -> Result<Channel, Breakdown> {
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
    async fn initialize(&self) -> Result<(), Breakdown> {
        let remembered = &self.host.remembered;
        let settings = self.host.settings.iter().map(|(name, value)| format!("{name}={value}\n"));
        let settings: String = std::iter::once(format!("{}\n", self.host.kind)).chain(settings).collect();
        if remembered.get(About::Initialized, "").await?.as_deref() == Some(settings.as_bytes()) {
            return Ok(());
        }
        // Other processes of the gateway may be here too.
        let path = self.host.dir.with_file_name("initremote.lock");
        let lock = blocking(move || File::create(path).and_then(|file| file.lock().map(|()| file))).await;
        let _lock = lock.map_err(|error| Breakdown::Broken(format!("locking its state: {error}")))?;
        if remembered.get(About::Initialized, "").await?.as_deref() == Some(settings.as_bytes()) {
            return Ok(());
        }
        // Settings that were changed come before what the program made of the old ones.
        for name in self.host.settings.keys() {
            remembered.unset(About::Setting, name).await?;
        }
        let mut channel = self.spawn().await?;
        let done =
            channel.ask(&NamedRequest::plain(Request::InitRemote), &self.host, &self.times, &Watch::default()).await;
        let failed = match done {
            Ok(Response::InitRemoteSuccess) => None,
            Ok(Response::InitRemoteFailure { message }) => Some(said(message.as_bytes())),
            Ok(other) => Some(Breakdown::Broken(format!("it answered INITREMOTE by {other:?}"))),
            Err(trouble) => Some(trouble),
        };
        match failed {
            None => Ok(remembered.set(About::Initialized, "", settings).await?),
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
        let mut programs = self.programs();
        programs.idle.push(process);
        programs.idle.retain(|process| process.idle_for() < KEPT_IDLE);
    }

    /// Does without a program from now on. One that does other jobs too ends when those have.
    fn give_up(&self, channel: &Channel, reason: &str) {
        let process = &channel.process;
        if !process.is_tagged() {
            process.kill(reason);
        }
        let mut programs = self.programs();
        if programs.shared.as_ref().is_some_and(|shared| Arc::ptr_eq(shared, process)) {
            programs.shared = None;
        }
    }

    fn programs(&self) -> MutexGuard<'_, Programs> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn said(text: &[u8]) -> Breakdown {
    Breakdown::Broken(format!("it says: {}", String::from_utf8_lossy(text)))
}
