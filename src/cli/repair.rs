//! `annex-keep repair`: bring keys to every node that should have them.

use std::process::ExitCode;

use annex_gateway::gateway::upkeep::drop_surplus;
use annex_gateway::site::RepoName;
use annex_gateway::site::repair::Wanting;
use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use keep_store::base::task::Shutdown;

use super::output::{Lines, Tally};
use super::site::SiteOption;
use crate::assemble::Stores;
use crate::error::Failure;
use crate::host::hub::Hub;
use crate::upkeep::{self, Worked};

/// Copy keys to every node that should have them and does not; the daemon also does this by itself
///
/// Copies on nodes that do not want them are told of, and dropped if the configuration says so in [repair].
#[derive(Debug, clap::Args)]
pub(super) struct Repair {
    /// The repository
    #[arg(value_parser = super::repo::name)]
    repo: RepoName,
    /// Only this key
    #[arg(value_parser = super::explain::key)]
    key: Option<Key>,
    #[command(flatten)]
    site: SiteOption,
}

/// Lost keys that are told of.
const MOST_LOST: usize = 1000;

impl Repair {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let hub = Hub::new(self.site.open()?, Box::new(Stores::default()), Shutdown::default());
        let hosted = hub.open(&self.repo)?;
        let gateway = hosted.repo.identity.gateway.clone();
        let mut out = Lines::new();
        let mut tally = Tally::default();
        let mut surplus = Vec::new();
        if let Some(key) = self.key.clone() {
            let (file, cause) = (AssociatedFile::default(), "asked for".to_owned());
            hub.site().want_repair(&Wanting { gateway: gateway.clone(), key, file, cause, tries: 0 })?;
        } else {
            let surveyed = upkeep::survey(&hub, &hosted).await?;
            out.line(format_args!("{} keys lack a copy that a node should have", surveyed.lacking))?;
            surplus = surveyed.surplus;
        }
        let Worked { failed, mut dropped } = upkeep::work_off(&hub, Some(&gateway)).await?;
        for failed in failed {
            tally.failed(format_args!("{}: {}", failed.key, failed.cause));
        }
        let asked = |lost: &Wanting| self.key.as_ref().is_none_or(|only| *only == lost.key);
        for lost in hub.site().repairs_lost(Some(&gateway), MOST_LOST)?.into_iter().filter(asked) {
            tally.failed(format_args!("{}: {}", lost.key, lost.cause));
        }
        if !upkeep::drops_surplus(&hub) && !surplus.is_empty() {
            let stay = "they stay, since [repair] surplus is not \"drop\"";
            out.line(format_args!("{} keys have a copy on a node that does not want it; {stay}", surplus.len()))?;
        } else {
            for key in surplus {
                match drop_surplus(&hub.gateway(&hosted).await, &key).await {
                    Ok(nodes) => dropped += nodes.len(),
                    Err(error) => tally.failed(format_args!("{key}: {error}")),
                }
            }
        }
        if dropped > 0 {
            out.line(format_args!("{dropped} copies were dropped from nodes that do not want them"))?;
        }
        if tally.code() == ExitCode::SUCCESS {
            out.line("every node that should have a key has it")?;
        }
        out.end()?;
        hosted.repo.branch.commit()?;
        Ok(tally.code())
    }
}
