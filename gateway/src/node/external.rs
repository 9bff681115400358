//! A node that is an external special remote: any `git-annex-remote-TYPE` program, hosted here.
//!
//! Source: `docs/spec/external-special-remote.md`. Such a store has no owner a key, so the node serves one repository.
//!
//! | file | what |
//! | --- | --- |
//! | `process` | a running program: its lines, its end |
//! | `breakdown`, `times` | how a program fails, and when waiting for it ends |
//! | `ask` | one request from its first line to its answer, with an end to every wait |
//! | `remote` | what all of these share |
//! | `host` | answers to what the program asks |
//! | `remembered` | what it wants remembered |
//! | `pool` | starting, sharing and replacing programs |
//! | `layout` | the requests that a key needs |
//! | `upload`, `download` | content through a temporary file |

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

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
mod breakdown;
mod download;
mod host;
pub mod kind;
mod layout;
mod pool;
mod process;
mod remembered;
mod remote;
mod times;
mod upload;

pub use host::Secrets;
use layout::Layout;
use remembered::{About, Remembered};
use remote::{Remote, failed, unusable};
pub use times::Times;

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

/// An external special remote. Cloning is cheap.
#[derive(Clone)]
pub struct ExternalNode(Arc<Remote>);

impl ExternalNode {
    /// Makes the node; its program is started when it is first asked.
    pub async fn open(options: Options) -> Result<Self, NodeError> {
        let Options { name, kind, program, uuid, settings, secrets, dir, spool, processes, times } = options;
        let layout = Layout::of(&settings);
        let (remembered, git_dir) = blocking(move || {
            let remembered = Remembered::open(&dir)?;
            let git_dir = dir.join("git");
            match std::fs::create_dir(&git_dir) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    Err(NodeError::Unreachable(format!("{}: {error}", git_dir.display())))
                }
                _ => Ok((remembered, git_dir)),
            }
        })
        .await?;
        let uuid_of_node = uuid.clone();
        let host = host::Host { name, kind, uuid, settings, secrets, remembered: remembered.clone(), dir: git_dir };
        let pool = Arc::new(pool::Pool::new(host, program, processes, times));
        Ok(Self(Arc::new(Remote { pool, remembered, spool, layout, uuid: uuid_of_node })))
    }
}

#[async_trait]
impl Node for ExternalNode {
    async fn present(&self, key: &Key) -> Result<bool, NodeError> {
        Ok(self.0.remembered.get(About::Bad, key.as_bytes()).await?.is_none() && self.0.has(key).await?)
    }

    async fn get(&self, key: &Key, offset: u64) -> Result<Option<Content>, NodeError> {
        if self.0.remembered.get(About::Bad, key.as_bytes()).await?.is_some() {
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
            Response::RemoveSuccess { .. } => self.0.remembered.unset(About::Bad, key.as_bytes()).await?,
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
