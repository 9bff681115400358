//! Nodes that are Keep stores in directories: `keep:PATH`, or a path.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use keep_store::entries::{KeepError, KeepStore, Options};
use keep_store::store::dir::Create;

use super::open;
use crate::node::error::NodeError;
use crate::node::kind::keep_at::KeepAt;
use crate::node::kind::{Kind, Opening, Reserve, Spec};
use crate::node::port::Node;

/// Keep stores in directories.
pub(in crate::node) const KIND: Kind = Kind {
    schemes: &["keep", ""],
    forms: &["keep:PATH"],
    parse: |text| match text.rest {
        "" => Err(format!("\"{}\" names no directory", text.whole)),
        path => Ok(Box::new(KeepDirectory(path.into()))),
    },
    local: true,
    reserve: Reserve::ByItself,
    served: true,
    one_repository: None,
    own_uuid: None,
    starts_program: false,
};

/// The directory of a Keep store; a relative one stands in the site directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepDirectory(pub PathBuf);

#[async_trait]
impl Spec for KeepDirectory {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn absolute(&self, base: &Path) -> Box<dyn Spec> {
        Box::new(Self(base.join(&self.0)))
    }

    fn node(&self, opening: &Opening) -> Arc<dyn Node> {
        open::node(Arc::new(self.clone()), opening)
    }

    async fn make(&self, _opening: &Opening) -> Result<(), NodeError> {
        open::make(self).await
    }

    fn keep(&self, _opening: &Opening) -> Option<Arc<dyn KeepAt>> {
        Some(Arc::new(self.clone()))
    }
}

#[async_trait]
impl KeepAt for KeepDirectory {
    fn name(&self) -> String {
        self.0.display().to_string()
    }

    fn directory(&self) -> &Path {
        &self.0
    }

    async fn open(&self, create: Create, options: Options) -> Result<KeepStore, KeepError> {
        KeepStore::open(&self.0, create, options).await
    }

    async fn open_for_reindex(&self, options: Options) -> Result<Option<KeepStore>, KeepError> {
        KeepStore::open_for_reindex(&self.0, options).await.map(Some)
    }
}

impl fmt::Display for KeepDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keep:{}", self.0.display())
    }
}
