//! Nodes that are git-annex repositories on this machine: `annex:PATH`.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use keep_store::base::clock::SharedClock;
use keep_store::base::task::blocking;

use super::AnnexNode;
use crate::node::error::NodeError;
use crate::node::kind::{Kind, Opening, Reserve, Spec};
use crate::node::lazy::{Lazy, Opener};
use crate::node::p2p::{Bounds, P2pNode, Program};
use crate::node::patience::Patience;
use crate::node::peer::Peer;
use crate::node::port::Node;

/// Repositories on this machine.
pub(in crate::node) const KIND: Kind = Kind {
    schemes: &["annex"],
    forms: &["annex:PATH"],
    parse: |text| Ok(Box::new(AnnexSpec::parse(text.rest)?)),
    local: true,
    reserve: Reserve::Refused("reserve: annex.diskreserve of the repository says that"),
    served: false,
    one_repository: None,
    own_uuid: Some("a git-annex repository is known by its own UUID: set uuid to its annex.uuid"),
    starts_program: false,
};

/// A git-annex repository on this machine: `annex:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnexSpec {
    /// The repository: bare, or with a work tree; a relative path stands in the site directory.
    pub path: PathBuf,
}

impl AnnexSpec {
    fn parse(path: &str) -> Result<Self, String> {
        match path {
            "" => Err("\"annex:\" names no repository".to_owned()),
            path => Ok(Self { path: path.into() }),
        }
    }
}

#[async_trait]
impl Spec for AnnexSpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn absolute(&self, base: &Path) -> Box<dyn Spec> {
        Box::new(Self { path: base.join(&self.path) })
    }

    fn node(&self, opening: &Opening) -> Arc<dyn Node> {
        let (path, peer, patience) = (self.path.clone(), opening.peer(None), opening.patience);
        Arc::new(Lazy::new(Box::new(AnnexOpener { path, peer, patience, clock: Arc::clone(&opening.clock) })))
    }
}

/// Opens a repository, beside the same one by way of git-annex if that is installed here.
struct AnnexOpener {
    path: PathBuf,
    peer: Peer,
    patience: Patience,
    clock: SharedClock,
}

#[async_trait]
impl Opener for AnnexOpener {
    async fn open(&self) -> Result<Arc<dyn Node>, NodeError> {
        let (path, uuid, patience, clock) = (&self.path, &self.peer.uuid, self.patience, &self.clock);
        if !blocking(|| is_installed(GIT_ANNEX_SHELL)).await {
            return Ok(Arc::new(AnnexNode::open(path, uuid, patience, clock).await?));
        }
        let line = Program::line_of_git_annex_shell(&self.peer, path.as_os_str().as_bytes());
        let program = Program::new(vec![GIT_ANNEX_SHELL.into(), b"-c".into(), line]);
        // git-annex updates its index only when it ends, so no program is kept for later requests.
        let bounds = Bounds { idle: 0, ..Bounds::default() };
        let git_annex = P2pNode::new(program, self.peer.clone(), patience, bounds);
        AnnexNode::open_beside(path, uuid, patience, clock, Arc::new(git_annex)).await
    }
}

const GIT_ANNEX_SHELL: &str = "git-annex-shell";

/// Tells whether a program is in PATH. Blocks.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

impl fmt::Display for AnnexSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "annex:{}", self.path.display())
    }
}
