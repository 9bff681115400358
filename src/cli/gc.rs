//! `annex-keep gc`: what the daemon also does by itself.

use std::process::ExitCode;

use keep_store::base::task::Shutdown;
use serde_json::json;

use super::output::Lines;
use super::site::SiteOption;
use crate::assemble::Stores;
use crate::error::{Exit, Failure};
use crate::host::hub::Hub;
use crate::upkeep::keep::{Gathered, collect_now, sweep_now};

/// Put blocks of the Keep stores in the trash that nothing refers to any more, and delete for good what is due there
#[derive(Debug, clap::Args)]
pub(super) struct Gc {
    /// One JSON object a store
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    site: SiteOption,
}

impl Gc {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let hub = Hub::new(self.site.open()?, Box::new(Stores::default()), Shutdown::default());
        let mut out = Lines::new();
        let mut code = ExitCode::SUCCESS;
        // Removed first, so that their blocks can go, too.
        if let Err(error) = sweep_now(&hub).await {
            eprintln!("annex-keep: collections: {error}");
            code = Exit::Partly.into();
        }
        let Gathered { missing, stores } = collect_now(&hub).await?;
        for (collection, block) in missing {
            eprintln!("annex-keep: {block} of collection {collection} is in no store");
            code = Exit::Partly.into();
        }
        for (store, collected) in stores {
            let done = match collected {
                Ok(done) => done,
                Err(error) => {
                    eprintln!("annex-keep: {store}: {error}");
                    code = Exit::Partly.into();
                    continue;
                }
            };
            if self.json {
                out.line(json!({
                    "store": store, "blocks": done.blocks, "trashed": done.trashed, "trashed_bytes": done.trashed_bytes,
                    "deleted": done.deleted, "deleted_bytes": done.deleted_bytes,
                }))?;
            } else {
                out.line(format_args!(
                    "{store}: of {} blocks {} ({} bytes) went to the trash, {} ({} bytes) were deleted there",
                    done.blocks, done.trashed, done.trashed_bytes, done.deleted, done.deleted_bytes
                ))?;
            }
        }
        out.end()?;
        Ok(code)
    }
}
