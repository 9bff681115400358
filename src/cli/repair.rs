//! `annex-keep repair`: bring keys to every node that should have them.

use std::process::ExitCode;

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;

use super::output::{Lines, Tally};
use super::site::SiteOption;
use crate::assemble::Stores;
use crate::error::Failure;
use crate::serve::hub::Hub;
use crate::serve::worker;
use crate::site::RepoName;
use crate::site::repair::Wanting;
use crate::task::Shutdown;

/// Copy keys to every node that should have them and does not; the daemon also does this by itself
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

impl Repair {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let hub = Hub::new(self.site.open()?, Box::new(Stores::default()), Shutdown::default());
        let hosted = hub.open(&self.repo)?;
        let gateway = hosted.repo.identity.gateway.clone();
        let mut out = Lines::new();
        let mut tally = Tally::default();
        if let Some(key) = self.key {
            let (file, cause) = (AssociatedFile::default(), "asked for".to_owned());
            hub.site().want_repair(&Wanting { gateway: gateway.clone(), key, file, cause, tries: 0 })?;
        } else {
            let lacking = worker::survey(&hub, &hosted).await?;
            out.line(format_args!("{lacking} keys lack a copy that a node should have"))?;
        }
        for failed in worker::work_off(&hub, Some(&gateway)).await? {
            tally.failed(format_args!("{}: {}", failed.key, failed.cause));
        }
        if tally.code() == ExitCode::SUCCESS {
            out.line("every node that should have a key has it")?;
        }
        out.end()?;
        hosted.repo.branch.commit()?;
        Ok(tally.code())
    }
}
