//! `annex-keep scrub`: read every copy again.

use std::num::NonZeroU32;
use std::process::ExitCode;

use annex_gateway::gateway::{CopyState, Due};
use annex_gateway::pace::Pace;
use annex_gateway::site::RepoName;
use keep_store::base::task::Shutdown;

use super::output::{Lines, Tally};
use super::site::SiteOption;
use crate::assemble::Stores;
use crate::error::Failure;
use crate::host::hub::Hub;
use crate::upkeep::Progress;

/// Read every copy of a repository's keys again, the one read longest ago first, and take bad ones out of use
///
/// `repair` then replaces them. The daemon does both by itself, as [scrub] in the configuration says.
#[derive(Debug, clap::Args)]
pub(super) struct Scrub {
    /// The repository
    #[arg(value_parser = super::repo::name)]
    repo: RepoName,
    /// Only this node
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Read no more than this many MB a second
    #[arg(long, value_name = "MB")]
    rate: Option<NonZeroU32>,
    #[command(flatten)]
    site: SiteOption,
}

const MB: NonZeroU32 = NonZeroU32::new(1_000_000).expect("not zero");

impl Scrub {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let hub = Hub::new(self.site.open()?, Box::new(Stores::default()), Shutdown::default());
        let hosted = hub.open(&self.repo)?;
        let gateway = hub.gateway(&hosted).await;
        let nodes = hosted.repo.nodes.iter().map(|node| node.name.clone());
        let nodes = nodes.filter(|name| self.node.as_ref().is_none_or(|only| only == name)).collect();
        let pace = Pace::default();
        pace.set(self.rate.map(|rate| rate.saturating_mul(MB)));
        let mut progress = Progress::new(hub.site());
        let mut out = Lines::new();
        let mut tally = Tally::default();
        let mut read = 0;
        for Due { key, node, uuid, .. } in gateway.copies_due(&nodes, u64::MAX, usize::MAX)? {
            match gateway.scrub(&node, &key, &pace).await {
                Ok((CopyState::Good, size)) => {
                    tally.done();
                    read += size;
                    progress.read(uuid, key).await?;
                }
                Ok((CopyState::Bad, _)) => tally.failed(format_args!("{key}: the copy on node {node} was bad")),
                Ok((CopyState::Gone, _)) => {
                    tally.failed(format_args!("{key}: the copy on node {node} is gone, or damaged"));
                }
                Err(error) => tally.failed(format_args!("{key}: {error}")),
            }
        }
        progress.end().await?;
        hosted.repo.branch.commit()?;
        out.line(format_args!("{read} bytes were read and are good"))?;
        out.end()?;
        Ok(tally.code())
    }
}
