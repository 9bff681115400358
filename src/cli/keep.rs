//! `annex-keep keep`: work on a Keep store directly.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use annex_gateway::node::keep::directory::KeepDirectory;
use annex_gateway::node::kind::keep_at::KeepAt;
use annex_gateway::site::Site;
use annex_protocol::keep::{BlockHash, BlockRequest};
use clap::{Args, Subcommand};
use keep_store::entries::{KeepStore, Options};
use keep_store::store::dir::Create;

use crate::assemble::keep_of_node;
use crate::error::Failure;

mod content;
mod listing;
mod trash;

/// Work on a Keep store directly.
#[derive(Debug, Args)]
pub(super) struct Keep {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Store files, or standard input, as entries
    Put(content::Put),
    /// Fetch an entry, or a block by its locator
    Get(content::Get),
    /// List entries
    Ls(listing::Ls),
    /// List blocks: locator and time in nanoseconds, then an empty line
    Index(listing::Index),
    /// Count what the store holds
    Status(listing::Status),
    /// Rebuild the index from the blocks
    Reindex(listing::Reindex),
    /// Put blocks in the trash, or empty it
    Trash(trash::Trash),
    /// Bring blocks back from the trash; a manifest brings its entry back
    Untrash(trash::Untrash),
}

impl Keep {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        match self.action {
            Action::Put(put) => put.run().await,
            Action::Get(get) => get.run().await,
            Action::Ls(ls) => ls.run().await,
            Action::Index(index) => index.run().await,
            Action::Status(status) => status.run().await,
            Action::Reindex(reindex) => reindex.run().await,
            Action::Trash(trash) => trash.run().await,
            Action::Untrash(untrash) => untrash.run().await,
        }
    }
}

/// The store to work on.
#[derive(Debug, Args)]
struct Store {
    /// The store's directory; with --site, the name of a node
    store: PathBuf,
    /// The site whose node is meant
    #[arg(long, value_name = "DIR")]
    site: Option<PathBuf>,
}

impl Store {
    async fn open(&self) -> Result<KeepStore, Failure> {
        Ok(self.place()?.open(Create::Never, Options::default()).await?)
    }

    fn place(&self) -> Result<Arc<dyn KeepAt>, Failure> {
        match &self.site {
            Some(site) => keep_of_node(&Site::open(site)?, &self.store.to_string_lossy()),
            None => Ok(Arc::new(KeepDirectory(self.store.clone()))),
        }
    }
}

/// Reads a block's hash, from a locator or alone.
fn block_hash(text: &str) -> Result<BlockHash, Failure> {
    let parsed = BlockRequest::parse(text.as_bytes());
    parsed.map(|block| block.hash).map_err(|_| Failure::usage(format!("{text} is no block's locator")))
}
