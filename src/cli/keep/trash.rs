//! `annex-keep keep trash` and `untrash`.

use std::process::ExitCode;
use std::time::Duration;

use keep_store::base::clock::{Clock, SystemClock};
use keep_store::entries::Refused;

use super::{Store, block_hash};
use crate::cli::output::Tally;
use crate::error::Failure;

/// Put blocks in the trash, or empty it.
#[derive(Debug, clap::Args)]
pub(super) struct Trash {
    #[command(flatten)]
    store: Store,
    /// Blocks to put in the trash
    #[arg(required_unless_present = "empty")]
    locators: Vec<String>,
    /// Also blocks that entries need; a manifest takes its entry along
    #[arg(long)]
    force: bool,
    /// Delete what is in the trash and past its time
    #[arg(long, conflicts_with_all = ["locators", "force"])]
    empty: bool,
    /// With --empty: also what is not past its time
    #[arg(long, requires = "empty")]
    all: bool,
}

/// Bring blocks back from the trash; a manifest brings its entry back.
#[derive(Debug, clap::Args)]
pub(super) struct Untrash {
    #[command(flatten)]
    store: Store,
    /// Blocks to bring back
    #[arg(required = true)]
    locators: Vec<String>,
}

/// Longer than any block is kept in the trash.
const FOR_EVER: Duration = Duration::from_secs(1000 * 365 * 24 * 3600);

impl Trash {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let hashes = self.locators.iter().map(|text| block_hash(text)).collect::<Result<Vec<_>, _>>()?;
        let store = self.store.open().await?;
        if self.empty {
            let now = SystemClock::default().wall();
            let due = if self.all { now.checked_add(FOR_EVER).unwrap_or(now) } else { now };
            let (blocks, bytes) = store.empty_trash(due).await?;
            eprintln!("annex-keep: {blocks} blocks deleted, {bytes} bytes freed");
            return Ok(ExitCode::SUCCESS);
        }
        let mut tally = Tally::default();
        for hash in hashes {
            match store.trash_block(hash, self.force).await? {
                Ok(()) => tally.done(),
                Err(Refused::Absent) => tally.failed(format_args!("{hash}: no such block")),
                Err(Refused::Referenced) => {
                    tally.failed(format_args!("{hash}: an entry needs it (--force to trash it all the same)"));
                }
            }
        }
        Ok(tally.code())
    }
}

impl Untrash {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let hashes = self.locators.iter().map(|text| block_hash(text)).collect::<Result<Vec<_>, _>>()?;
        let store = self.store.open().await?;
        let mut tally = Tally::default();
        for hash in hashes {
            if store.untrash_block(hash).await? {
                tally.done();
            } else {
                tally.failed(format_args!("{hash}: not in the trash"));
            }
        }
        Ok(tally.code())
    }
}
