//! `annex-keep init`: make a site.

use std::path::PathBuf;
use std::process::ExitCode;

use annex_gateway::node::NodeSpec;
use annex_gateway::site::Site;

use super::output::Lines;
use crate::doors::ssh::HostKey;
use crate::error::Failure;

/// Make a site: a directory with configuration, users, repositories, and (with no --node) three Keep stores.
#[derive(Debug, clap::Args)]
pub(super) struct Init {
    /// The site's directory; made if it is not there
    site: PathBuf,
    /// A node: its name and where it keeps content, for example a=/disk1/keep; may be given several times
    #[arg(long = "node", value_name = "NAME=SPEC", value_parser = node)]
    nodes: Vec<(String, String)>,
}

impl Init {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let nodes = self
            .nodes
            .into_iter()
            .map(|(name, spec)| {
                // A path that was typed here is meant from here, not from inside the site.
                let spec = NodeSpec::parse(&spec).map_err(Failure::usage)?;
                Ok((name, spec.absolute(&std::env::current_dir()?).to_string()))
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        let site = Site::init(&self.site, &nodes)?;
        crate::assemble::make_stores(&site).await?;
        site.signing_key()?;
        let host_key = HostKey::load_or_make(site.root())?;
        let mut out = Lines::new();
        out.line(format_args!("made the site {}", site.root().display()))?;
        for (name, node) in &site.config().nodes {
            out.line(format_args!("node {name}: {}", node.store.absolute(site.root())))?;
        }
        out.line(format_args!("ssh host key: {}", host_key.fingerprint()))?;
        out.end()?;
        Ok(ExitCode::SUCCESS)
    }
}

pub(super) fn node(text: &str) -> Result<(String, String), String> {
    let (name, spec) = text.split_once('=').ok_or("it should be NAME=SPEC, for example a=/disk1/keep")?;
    Ok((name.to_owned(), spec.to_owned()))
}
