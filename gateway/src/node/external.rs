//! A node that is an external special remote: any `git-annex-remote-TYPE` program, hosted here.
//!
//! Source: `docs/spec/external-special-remote.md`. Such a store has no owner a key, so the node serves one repository.
//!
//! | file | what |
//! | --- | --- |
//! | `process` | a running program: its lines, its end |
//! | `ask` | one request from its first line to its answer, with an end to every wait |
//! | `host` | answers to what the program asks |
//! | `state` | what it wants remembered |
//! | `pool` | starting, sharing and replacing programs |
//! | `layout` | the requests that a key needs |
//! | `upload`, `download` | content through a temporary file |

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use annex_protocol::external::Response;
use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use keep_store::base::task::blocking;

use super::error::NodeError;
use super::only_ours::hold_if;
use super::port::{Capacity, Content, Hold, Incoming, Node, Onward};
use super::probe_key::probe_key;
use crate::spool::Spool;

mod ask;
mod download;
mod host;
pub mod kind;
mod layout;
mod pool;
mod process;
mod state;
mod upload;

use ask::Watch;
use layout::{Ask, Layout};
use state::{Kind, State};

/// Returns a secret by its name: for GETCONFIG its first line, for GETCREDS user and password on two lines.
///
/// Asked each time, off the runtime; the error says what could not be read.
pub type Secrets = Arc<dyn Fn(&str) -> Result<Option<String>, String> + Send + Sync>;

/// What an external special remote is made of.
pub struct Options {
    /// The node's name: what GETGITREMOTENAME answers, and the log says.
    pub name: String,
    /// The TYPE of `git-annex-remote-TYPE`.
    pub kind: String,
    /// The program; without a slash it is looked up in PATH.
    pub program: OsString,
    /// The node's UUID: what GETUUID answers.
    pub uuid: Uuid,
    /// The settings of the special remote, as `git annex initremote` would be given them.
    pub settings: BTreeMap<String, String>,
    /// Settings and credentials that stand elsewhere.
    pub secrets: Secrets,
    /// A directory of the node's own: what the program sets is kept there, and it works there.
    pub dir: PathBuf,
    /// Where content is put for the program to take.
    pub spool: Spool,
    /// Transfers at once; a program that cannot do ASYNC is started as often.
    pub processes: usize,
    /// When a wait ends.
    pub times: Times,
}

/// When waiting for a program ends.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// For a new program's first line.
    pub start: Duration,
    /// For an answer.
    pub answer: Duration,
    /// Between two signs of progress of a transfer that shows some.
    pub progress: Duration,
    /// Bytes a second that a transfer which shows no progress has to move, after the time for an answer.
    pub slowest: u64,
}

/// An external special remote. Cloning is cheap.
#[derive(Clone)]
pub struct ExternalNode(Arc<Inner>);

struct Inner {
    pool: Arc<pool::Pool>,
    state: State,
    spool: Spool,
    layout: Layout,
    uuid: Uuid,
}

/// Why a program did not do what it was asked.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// It ended, or does not speak the protocol; a new one may do better.
    #[error("{0}")]
    Broken(String),
    /// It does nothing.
    #[error("{0}")]
    Hung(String),
    /// Nobody wants the answer any more.
    #[error("the request was cancelled")]
    Cancelled,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(20),
            answer: Duration::from_secs(60),
            progress: Duration::from_secs(60),
            slowest: 1 << 20,
        }
    }
}

impl Times {
    /// Returns these times with this as the longest silence.
    #[must_use]
    pub fn with_silence(self, silence: Duration) -> Self {
        Self { start: self.start.min(silence), answer: silence, progress: silence, ..self }
    }
}

impl ExternalNode {
    /// Makes the node; its program is started when it is first asked.
    pub async fn open(options: Options) -> Result<Self, NodeError> {
        let Options { name, kind, program, uuid, settings, secrets, dir, spool, processes, times } = options;
        let layout = Layout::of(&settings);
        let (state, git_dir) = blocking(move || {
            let state = State::open(&dir)?;
            let git_dir = dir.join("git");
            match std::fs::create_dir(&git_dir) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    Err(NodeError::Unreachable(format!("{}: {error}", git_dir.display())))
                }
                _ => Ok((state, git_dir)),
            }
        })
        .await?;
        let uuid_of_node = uuid.clone();
        let host = host::Host { name, kind, uuid, settings, secrets, state: state.clone(), dir: git_dir };
        let pool = Arc::new(pool::Pool::new(host, program, processes, times));
        Ok(Self(Arc::new(Inner { pool, state, spool, layout, uuid: uuid_of_node })))
    }
}

impl Inner {
    async fn ask(&self, ask: Ask) -> Result<Response, NodeError> {
        self.pool.run(ask, Watch::default()).await
    }

    /// Asks the program whether it has a key, whatever came back when it was last retrieved.
    async fn has(&self, key: &Key) -> Result<bool, NodeError> {
        let Some(ask) = self.layout.check_present(key) else { return Ok(false) };
        match self.ask(ask).await? {
            Response::CheckPresentSuccess { .. } => Ok(true),
            Response::CheckPresentFailure { .. } => Ok(false),
            Response::CheckPresentUnknown { message, .. } => Err(failed("CHECKPRESENT", message.as_bytes())),
            other => Err(unusable("CHECKPRESENT", &other)),
        }
    }

    /// Remembers that a key's content came back wrong: it counts as gone until it is stored again.
    async fn condemn(&self, key: &Key, reason: &str) -> Result<(), NodeError> {
        tracing::error!("node {}: {key}: {reason}; it counts as gone", self.pool.host.name);
        self.state.set(Kind::Bad, key.as_bytes(), reason).await
    }
}

#[async_trait]
impl Node for ExternalNode {
    async fn present(&self, key: &Key) -> Result<bool, NodeError> {
        Ok(self.0.state.get(Kind::Bad, key.as_bytes()).await?.is_none() && self.0.has(key).await?)
    }

    async fn get(&self, key: &Key, offset: u64) -> Result<Option<Content>, NodeError> {
        if self.0.state.get(Kind::Bad, key.as_bytes()).await?.is_some() {
            return Ok(None);
        }
        download::get(&self.0, key, offset).await
    }

    async fn put(&self, key: &Key, _file: &AssociatedFile) -> Result<Incoming, NodeError> {
        Ok(Incoming::WholeFile(Box::new(upload::Storing::new(&self.0, key)?)))
    }

    async fn remove(&self, key: &Key) -> Result<Vec<Uuid>, NodeError> {
        let Some(ask) = self.0.layout.remove(key) else { return Ok(Vec::new()) };
        match self.0.ask(ask).await? {
            Response::RemoveSuccess { .. } => self.0.state.unset(Kind::Bad, key.as_bytes()).await?,
            Response::RemoveFailure { message, .. } => return Err(failed("REMOVE", message.as_bytes())),
            other => return Err(unusable("REMOVE", &other)),
        }
        Ok(Vec::new())
    }

    /// A special remote has no place for damaged content: it is removed.
    async fn set_aside(&self, key: &Key) -> Result<(), NodeError> {
        self.remove(key).await.map(drop)
    }

    /// The protocol of special remotes knows no locks: what others remove, nobody can keep them from.
    async fn lock(&self, key: &Key) -> Result<Option<Box<dyn Hold>>, NodeError> {
        Ok(hold_if(self.present(key).await?))
    }

    async fn capacity(&self) -> Result<Capacity, NodeError> {
        self.present(&probe_key()?).await.map(|_present| Capacity::default())
    }

    fn onward(&self, _gateways: &BTreeSet<Uuid>) -> Onward {
        Onward::AsIs
    }
}

/// What a program says of its failure. Nothing is decided by its words: programs of all kinds write them.
fn failed(request: &str, message: &[u8]) -> NodeError {
    match message {
        [] => NodeError::Failed(format!("{request} failed with no reason given")),
        text => NodeError::Failed(format!("{request}: {}", String::from_utf8_lossy(text))),
    }
}

/// An answer that the protocol allows, and this host has no use for.
fn unusable(request: &str, response: &Response) -> NodeError {
    match response {
        Response::UnsupportedRequest => NodeError::Unsupported(format!("the program does not support {request}")),
        other => {
            NodeError::Unsupported(format!("{request}: this host does not support the program's answer: {other:?}"))
        }
    }
}
