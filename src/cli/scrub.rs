//! `annex-keep scrub`: read every copy again.

use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::output::{Lines, Tally};
use super::site::SiteOption;
use crate::assemble::Stores;
use crate::error::Failure;
use crate::gateway::Copy;
use crate::serve::hub::Hub;
use crate::site::RepoName;
use crate::task::Shutdown;

/// Read every copy of a repository's keys again, and take bad ones out of use; `repair` then replaces them
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

impl Scrub {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let hub = Hub::new(self.site.open()?, Box::new(Stores::default()), Shutdown::default());
        let hosted = hub.open(&self.repo)?;
        let gateway = hub.gateway(&hosted).await;
        let nodes = hosted.repo.nodes.iter().filter(|node| self.node.as_ref().is_none_or(|only| *only == node.name));
        let nodes: Vec<_> = nodes.collect();
        let mut copies = Vec::new();
        hosted.repo.branch.for_each_key(|key, locations| {
            for uuid in locations.present() {
                if let Some(node) = nodes.iter().find(|node| node.uuid == uuid) {
                    copies.push((key.clone(), node.name.clone()));
                }
            }
            Ok(())
        })?;
        let mut out = Lines::new();
        let mut tally = Tally::default();
        let (started, mut read) = (Instant::now(), 0);
        for (key, node) in copies {
            match gateway.scrub(&node, &key).await {
                Ok((Copy::Good, size)) => {
                    tally.done();
                    read += size;
                }
                Ok((Copy::Bad, _)) => tally.failed(format_args!("{key}: the copy on node {node} was bad")),
                Ok((Copy::Gone, _)) => tally.failed(format_args!("{key}: the copy on node {node} is gone, or damaged")),
                Err(error) => tally.failed(format_args!("{key}: {error}")),
            }
            if let Some(rate) = self.rate {
                let due = Duration::from_secs_f64(read as f64 / (f64::from(rate.get()) * 1e6));
                tokio::time::sleep(due.saturating_sub(started.elapsed())).await;
            }
        }
        hosted.repo.branch.commit()?;
        out.line(format_args!("{read} bytes were read and are good"))?;
        out.end()?;
        Ok(tally.code())
    }
}
