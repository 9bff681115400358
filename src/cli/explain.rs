//! `annex-keep explain`: where a key is, where it should be, and why.

use std::process::ExitCode;

use annex_gateway::gateway::upkeep::{self, Explained, OnNode};
use annex_gateway::site::RepoName;
use annex_protocol::key::Key;
use keep_store::base::task::Shutdown;
use serde_json::json;

use super::output::Lines;
use super::site::SiteOption;
use crate::assemble::Stores;
use crate::error::Failure;
use crate::host::hub::Hub;

/// Tell where a key is, where it should be, and why
#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// The repository
    #[arg(value_parser = super::repo::name)]
    repo: RepoName,
    /// The key
    #[arg(value_parser = key)]
    key: Key,
    /// A file that has the key as its content, for what nodes want by its name
    #[arg(long, value_name = "PATH")]
    file: Option<String>,
    #[command(flatten)]
    site: SiteOption,
    /// As a JSON object
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let hub = Hub::new(self.site.open()?, Box::new(Stores::default()), Shutdown::default());
        let hosted = hub.open(&self.repo)?;
        let gateway = hub.gateway(&hosted).await;
        let Explained { nodes, numcopies } =
            upkeep::explain(&gateway, &self.key, self.file.as_deref().map(str::as_bytes)).await?;
        let mut out = Lines::new();
        if self.json {
            let node = |node: &OnNode| {
                let (present, error) = (node.present.as_ref().ok(), node.present.as_ref().err());
                json!({
                    "name": node.name, "uuid": node.uuid.to_string(), "logged": node.logged, "present": present,
                    "error": error, "wants": node.wants, "missing": node.missing,
                    "surplus": node.surplus,
                })
            };
            let nodes: Vec<_> = nodes.iter().map(node).collect();
            out.line(json!({ "key": self.key.to_string(), "numcopies": numcopies, "nodes": nodes }))?;
        } else {
            out.line(format_args!("{}\nnumcopies {numcopies}", self.key))?;
            for node in nodes {
                let present = match &node.present {
                    Ok(true) => "has it".to_owned(),
                    Ok(false) => "does not have it".to_owned(),
                    Err(cause) => format!("cannot be asked ({cause})"),
                };
                let log = if node.logged { "the log names it" } else { "the log does not name it" };
                let wants = if node.wants { "wants it" } else { "does not want it" };
                let missing = if node.missing { "; a copy is missing here" } else { "" };
                let surplus = if node.surplus { "; this copy is surplus" } else { "" };
                out.line(format_args!("node {}: {present}, {log}, {wants}{missing}{surplus}", node.name))?;
            }
        }
        out.end()?;
        Ok(ExitCode::SUCCESS)
    }
}

pub(super) fn key(text: &str) -> Result<Key, String> {
    Key::parse(text.as_bytes()).map_err(|error| error.to_string())
}
