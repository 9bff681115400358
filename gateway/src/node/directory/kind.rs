//! Nodes that are directories in the layout of git-annex's own special remote: `directory:PATH[?chunk=SIZE]`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annex_protocol::prefer::size;
use async_trait::async_trait;
use keep_store::base::clock::SharedClock;

use super::DirectoryNode;
use crate::node::error::NodeError;
use crate::node::kind::{Kind, Opening, Reserve, Spec};
use crate::node::lazy::{Lazy, Opener};
use crate::node::patience::Patience;
use crate::node::port::Node;

/// Directories.
pub(in crate::node) const KIND: Kind = Kind {
    schemes: &["directory"],
    forms: &["directory:PATH"],
    parse: |text| Ok(Box::new(DirectorySpec::parse(text.rest)?)),
    local: true,
    reserve: Reserve::ByGateway,
    served: false,
    // Its files do not say whose they are: two repositories would take each other's content for their own.
    one_repository: Some("a directory special remote belongs to one repository: set repo"),
    own_uuid: None,
    starts_program: false,
};

/// A directory in the layout of git-annex's directory special remote: `directory:PATH[?chunk=SIZE]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectorySpec {
    /// The directory; a relative path stands in the site directory.
    pub path: PathBuf,
    /// New content is cut into chunks of this many bytes, as the remote's `chunk=` says.
    pub chunk: Option<u64>,
}

impl DirectorySpec {
    fn parse(text: &str) -> Result<Self, String> {
        let (path, settings) = text.rsplit_once('?').unwrap_or((text, ""));
        if path.is_empty() {
            return Err("\"directory:\" names no directory".to_owned());
        }
        let mut spec = Self { path: path.into(), chunk: None };
        for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
            match setting.split_once('=').unwrap_or((setting, "")) {
                ("chunk", value) => spec.chunk = chunk(value)?,
                ("encryption", "none") => {}
                ("encryption", kind) => {
                    return Err(format!(
                        "encryption={kind}: the gateway reads and writes only directories with encryption=none"
                    ));
                }
                (name, _) => return Err(format!("\"{name}\" is no setting of a directory node; it has chunk=SIZE")),
            }
        }
        Ok(spec)
    }
}

#[async_trait]
impl Spec for DirectorySpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn absolute(&self, base: &Path) -> Box<dyn Spec> {
        Box::new(Self { path: base.join(&self.path), chunk: self.chunk })
    }

    fn node(&self, opening: &Opening) -> Arc<dyn Node> {
        Arc::new(Lazy::new(Box::new(DirectoryOpener(self.clone(), opening.patience, Arc::clone(&opening.clock)))))
    }
}

struct DirectoryOpener(DirectorySpec, Patience, SharedClock);

#[async_trait]
impl Opener for DirectoryOpener {
    async fn open(&self) -> Result<Arc<dyn Node>, NodeError> {
        Ok(Arc::new(DirectoryNode::open(&self.0.path, self.0.chunk, self.1, &self.2).await?))
    }
}

/// Reads a chunk size as git-annex does; 0 means whole.
fn chunk(text: &str) -> Result<Option<u64>, String> {
    let bytes = size(text.as_bytes()).and_then(|bytes| u64::try_from(bytes).ok());
    let bytes = bytes.ok_or_else(|| format!("chunk={text} should be a size, for example chunk=1MiB"))?;
    Ok(Some(bytes).filter(|bytes| *bytes > 0))
}

impl fmt::Display for DirectorySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "directory:{}", self.path.display())?;
        // A `?` in the path must not be taken for the settings' beginning when this is read again.
        match self.chunk {
            Some(chunk) => write!(f, "?chunk={chunk}"),
            None if self.path.to_string_lossy().contains('?') => write!(f, "?"),
            None => Ok(()),
        }
    }
}
