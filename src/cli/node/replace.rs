//! `annex-keep node replace`: a node in another place.

use std::process::ExitCode;

use annex_gateway::gateway::upkeep::{Refilled, Stage, refill};
use annex_gateway::node::NodeSpec;
use annex_gateway::site::Site;
use keep_store::base::task::{Shutdown, blocking};

use super::{Lines, SiteOption, Tally, probe};
use crate::assemble::{Stores, make_store};
use crate::doors::socket::ask_status;
use crate::error::Failure;
use crate::host::hub::Hub;

#[derive(Debug, clap::Args)]
pub(super) struct Replace {
    /// Its name and where it keeps content from now on, for example b=/disk9/keep
    #[arg(value_name = "NAME=SPEC", value_parser = crate::cli::init::node)]
    node: (String, String),
    /// Where its content is, if not where the configuration says: brings over what this place has and the new one lacks
    #[arg(long, value_name = "SPEC")]
    from: Option<String>,
    #[command(flatten)]
    site: SiteOption,
}

/// The site with the node in its new place, and in its old one.
struct Places {
    name: String,
    new: Hub,
    old: Hub,
}

impl Replace {
    pub(super) async fn run(self, out: &mut Lines, tally: &mut Tally) -> Result<(), Failure> {
        let here = std::env::current_dir()?;
        let spec = |text: &str| Ok::<_, Failure>(NodeSpec::parse(text).map_err(Failure::usage)?.absolute(&here));
        let (name, to) = (&self.node.0, spec(&self.node.1)?);
        let from = self.from.as_deref().map(spec).transpose()?;
        let site = self.site.open()?;
        let node = site.config().nodes.get(name);
        let node = node.ok_or_else(|| Failure::failed(format!("there is no node {name}")))?;
        let present = node.store.absolute(site.root());
        if to == *from.as_ref().unwrap_or(&present) {
            return Err(Failure::failed(format!(
                "node {name} is there already; --from names another place to copy from"
            )));
        }
        let new = site.with_node_at(name, &to)?;
        if let Some(node) = new.config().nodes.get(name) {
            make_store(&new, &node.store).await?;
        }
        let hub = |site: Site| Hub::new(site, Box::new(Stores::default()), Shutdown::default());
        let old = from.as_ref().map_or(Ok(site.clone()), |from| site.with_node_at(name, from))?;
        let places = Places { name: name.clone(), new: hub(new), old: hub(old) };
        places.try_out(out, tally).await?;
        if tally.code() != ExitCode::SUCCESS {
            return Err(Failure::failed(format!("node {name} stays where it was")));
        }
        if to != present {
            places.fill(Stage::Before).await?;
            site.replace_node(name, &to)?;
        }
        for (repo, refilled) in places.fill(Stage::After { unlogged: from.is_some() }).await? {
            let has = refilled.there + refilled.copied;
            out.line(format_args!("{repo}: node {name} has {has} of its {} keys", has + refilled.missing.len()))?;
            (0..has).for_each(|_| tally.done());
            for (key, cause) in refilled.missing {
                tally.failed(format_args!("{repo}: {key} is not on node {name} any more: {cause}"));
            }
            if let Some(cause) = refilled.not_asked {
                tally.failed(format_args!(
                    "{repo}: what only the old place of node {name} knows of stays there: {cause}"
                ));
            }
        }
        let root = site.root().to_path_buf();
        if to != present && matches!(blocking(move || ask_status(&root)).await, Ok(Some(_))) {
            out.line(format_args!(
                "the daemon uses the old place until it is told to read its configuration again (SIGHUP); what it stored \
                 there meanwhile comes over by the same command with --from {present}"
            ))?;
        }
        Ok(())
    }
}

impl Places {
    /// Tries the new place out, for the first repository that the node serves.
    async fn try_out(&self, out: &mut Lines, tally: &mut Tally) -> Result<(), Failure> {
        for repo in self.new.site().repos()? {
            let hosted = self.new.open(&repo)?;
            if hosted.repo.nodes.iter().any(|node| node.name == self.name) {
                return probe(&self.new, &hosted, &self.name, out, tally).await;
            }
        }
        Ok(())
    }

    /// Fills the new place with the keys of every repository that the node serves.
    async fn fill(&self, stage: Stage) -> Result<Vec<(String, Refilled)>, Failure> {
        let mut filled = Vec::new();
        for repo in self.new.site().repos()? {
            let (new, old) = (self.new.open(&repo)?, self.old.open(&repo)?);
            if !new.repo.nodes.iter().any(|node| node.name == self.name) {
                continue;
            }
            let (gateway, before) = (self.new.gateway(&new).await, self.old.gateway(&old).await);
            let refilled = refill(&gateway, &self.name, &before, stage, &self.new.paces().repair).await;
            new.repo.branch.commit()?;
            filled.push((repo.to_string(), refilled?));
        }
        Ok(filled)
    }
}
