//! What a kind of node says of itself: how its specs are written, how its nodes are opened, and what a configuration may ask
//! of them. Each kind is registered by one line in `kinds.rs`; nothing else in the program names it.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use keep_store::base::clock::SharedClock;
use keep_store::entries::Options;

use super::error::NodeError;
use super::patience::Patience;
use super::peer::Peer;
use super::port::Node;
use crate::spool::LazySpool;

pub mod bucket;
pub mod keep_at;
pub mod keep_servers;
pub(super) mod query;
pub mod secret;

use keep_at::KeepAt;
use secret::Secret;

/// A kind of node.
pub struct Kind {
    /// What stands before the colon of its specs. The empty word is a path without any.
    pub schemes: &'static [&'static str],
    /// How its specs look. Listed in the error for a spec of no known kind.
    pub forms: &'static [&'static str],
    /// Reads a spec; the error says what is wrong with it.
    pub parse: fn(&SpecText<'_>) -> Result<Box<dyn Spec>, String>,
    /// Whether content is on this machine's disks. Then its room can be looked at, and reading needs no network.
    pub local: bool,
    /// What `reserve` means.
    pub reserve: Reserve,
    /// Its nodes are Keep stores that the site serves to Keep's own clients.
    pub served: bool,
    /// Why a node of this kind serves one repository only, if so: the error for a section that names none.
    pub one_repository: Option<&'static str>,
    /// Why a node of this kind has a UUID of its own, if so: the error for a section that names none.
    pub own_uuid: Option<&'static str>,
    /// Whether opening a node starts a program. Such a node is not opened just to show its status.
    pub starts_program: bool,
}

/// What a section's `reserve`, bytes that stay free, means for a kind of node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserve {
    /// The node itself keeps the bytes free.
    ByItself,
    /// The gateway keeps them free: it leaves the node out of uploads that would take them.
    ByGateway,
    /// Such nodes have no reserve; the error text says why.
    Refused(&'static str),
}

impl Reserve {
    /// For nodes whose disks are not on this machine.
    pub const NO_DISK: Self = Self::Refused("reserve is for nodes on this machine's disks: keep:, directory:");
}

/// The text of a spec, `SCHEME:REST`.
pub struct SpecText<'a> {
    /// All of it.
    pub whole: &'a str,
    /// What stands before the first colon; empty if the whole is a path.
    pub scheme: &'a str,
    /// What stands behind the colon, or the path.
    pub rest: &'a str,
}

impl<'a> SpecText<'a> {
    /// Returns what stands behind `SCHEME://`; the slashes may be left out.
    pub fn place(&self) -> &'a str {
        self.rest.trim_start_matches('/')
    }
}

/// Where a node keeps content, and how it is opened. Its `Display` is the text that it was read from, without secrets.
#[async_trait]
pub trait Spec: fmt::Debug + fmt::Display + Value + Send + Sync {
    /// Returns the kind of node.
    fn kind(&self) -> &'static Kind;

    /// Returns the same with relative paths made absolute by `base`.
    fn absolute(&self, base: &Path) -> Box<dyn Spec>;

    /// Takes the settings of a node's section that this kind understands. The caller refuses those that are left.
    fn take(&mut self, beside: &mut Beside) -> Result<(), String> {
        let _ = beside;
        Ok(())
    }

    /// Tells whether a node needs a site, because the site keeps files for it.
    fn needs_site(&self) -> bool {
        false
    }

    /// Makes the node. Files and connections are opened when the node is first asked.
    fn node(&self, opening: &Opening) -> Arc<dyn Node>;

    /// Makes the place where a new node keeps content, if that is not there yet and nobody else makes it.
    async fn make(&self, opening: &Opening) -> Result<(), NodeError> {
        let _ = opening;
        Ok(())
    }

    /// Returns the Keep store that the node is, if it is one.
    fn keep(&self, opening: &Opening) -> Option<Arc<dyn KeepAt>> {
        let _ = opening;
        None
    }
}

/// Lets specs of all kinds be copied and compared behind `dyn`. Every spec that is `Clone` and `PartialEq` has it by itself.
pub trait Value {
    /// Returns a copy.
    fn copy(&self) -> Box<dyn Spec>;

    /// Tells whether another spec is the same.
    fn is_same(&self, other: &dyn Spec) -> bool;

    /// Returns itself as what it is.
    fn any(&self) -> &dyn Any;
}

impl<T: Spec + Clone + PartialEq + 'static> Value for T {
    fn copy(&self) -> Box<dyn Spec> {
        Box::new(self.clone())
    }

    fn is_same(&self, other: &dyn Spec) -> bool {
        other.any().downcast_ref::<Self>() == Some(self)
    }

    fn any(&self) -> &dyn Any {
        self
    }
}

/// Settings of a node's section that only some kinds of nodes understand.
#[derive(Debug, Default)]
pub struct Beside {
    /// Where secrets stand, by the names that the node asks for.
    pub secrets: BTreeMap<String, Secret>,
    /// How many transfers may run at once.
    pub processes: Option<usize>,
    /// After how many seconds without a sign of life a request is given up.
    pub deadline_seconds: Option<u64>,
    /// Access to an HTTP server.
    pub access: Access,
    /// The gateway that the node is reached through, if that is not the node itself.
    pub gateway: Option<Uuid>,
}

/// What a node's section says of access to an HTTP server.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Who asks.
    pub user: Option<String>,
    /// The file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// The variable of the environment that holds the password.
    pub password_env: Option<String>,
    /// A file of certificates that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

impl Beside {
    /// Fails if anything is left that the node's kind has not taken.
    pub(super) fn is_taken(&self) -> Result<(), String> {
        let text = if self.access != Access::default() || self.gateway.is_some() {
            "gateway, user, password_file, password_env and ca_file are for nodes reached by P2P"
        } else if self.processes.is_some() || self.deadline_seconds.is_some() {
            "processes and deadline_seconds are for nodes external:TYPE"
        } else if !self.secrets.is_empty() {
            "secrets are for nodes external:TYPE, on S3 and on Keep servers"
        } else {
            return Ok(());
        };
        Err(text.to_owned())
    }
}

/// For whom a node is opened, and what it may use.
#[derive(Clone)]
pub struct Opening {
    /// The node's name in the site.
    pub name: String,
    /// Its UUID in the repository that it is opened for.
    pub uuid: Uuid,
    /// What this gateway calls itself when it asks others.
    pub client: Uuid,
    /// The gateways that other gateways must not ask in turn: this one, so that no request goes in a circle.
    pub bypass: BTreeSet<Uuid>,
    /// How long the node is waited for.
    pub patience: Patience,
    /// Tells the time.
    pub clock: SharedClock,
    /// Options for Keep stores that are opened.
    pub keep: Options,
    /// Where the site keeps things for its nodes; `None` for a node that belongs to no site.
    pub site: Option<SitePlace>,
    /// Stores and clients that several nodes of this process share.
    pub shared: Shared,
}

/// Where a site keeps things for its nodes.
#[derive(Debug, Clone)]
pub struct SitePlace {
    /// The site's directory.
    pub root: PathBuf,
    /// Its temporary files.
    pub spool: LazySpool,
}

impl Opening {
    /// Returns the peer that a node of the P2P protocol is, which knows this gateway by its UUID.
    pub(super) fn peer(&self, gateway: Option<Uuid>) -> Peer {
        Peer { uuid: self.uuid.clone(), gateway, client: self.client.clone(), bypass: self.bypass.clone() }
    }

    /// Returns the site's directory for what a kind of node remembers of a place, named by the place and not by the node's
    /// name, which may change. Outside of a site it stands where the process is.
    pub(super) fn index_of(&self, kind: &str, place: &str) -> PathBuf {
        let root = self.site.as_ref().map_or(Path::new(""), |site| site.root.as_path());
        keep_at::index_of(root, kind, place)
    }
}

/// Stores and clients that several nodes of this process share: one value of each type. Cloning shares it.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>>);

impl Shared {
    /// Returns the value of a type, made when it is first asked for.
    pub fn get<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let value = values.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default()));
        // The value is always of the type that it is stored under, so the default is never used.
        Arc::clone(value).downcast().unwrap_or_default()
    }
}
