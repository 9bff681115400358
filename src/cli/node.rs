//! `annex-keep node`: the nodes of a site.

use std::collections::BTreeMap;
use std::process::ExitCode;

use annex_gateway::gateway::upkeep;
use annex_gateway::node::NodeSpec;
use annex_gateway::node::kind::secret::Secret;
use annex_gateway::site::{RepoName, Site};
use annex_protocol::uuid::Uuid;
use clap::Subcommand;
use keep_store::base::task::Shutdown;
use serde_json::json;

use self::replace::Replace;
use super::output::{Lines, Tally, size};
use super::site::SiteOption;
use crate::assemble::Stores;
use crate::error::Failure;
use crate::host::hub::Hub;
use crate::host::status::{self, NodeState};

mod replace;

/// List, add, change, replace, empty and remove nodes
///
/// A running daemon takes changes up when it is told to read its configuration again (SIGHUP).
#[derive(Debug, clap::Args)]
pub(super) struct Node {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the nodes
    List {
        #[command(flatten)]
        site: SiteOption,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Add a node, make it known in every repository, and try out what it can do
    Add(Add),
    /// Give a node another place, as after the loss or move of its disk: try that out, fill it, and use it from then on
    ///
    /// The node keeps its name and UUIDs. Its keys come from the old place if that still answers, and from other nodes; what
    /// neither has is told of and recorded as gone. A git-annex repository must have the UUID that the old one had.
    Replace(Replace),
    /// Change what a node costs or holds, or take it into use again
    Set {
        /// The node's name
        name: String,
        /// What fetching from it costs; the cheapest node that has a key is asked first, and 100 is usual
        #[arg(long)]
        cost: Option<u32>,
        /// Let it fill again after `drain`
        #[arg(long)]
        keep: bool,
        /// What stays free on its disk, for example "10 GB"; "none" for what its kind does by itself
        #[arg(long, value_name = "SIZE")]
        reserve: Option<String>,
        /// The most that it holds, for example "2 TB"; "none" for no limit
        #[arg(long, value_name = "SIZE")]
        maxsize: Option<String>,
        #[command(flatten)]
        site: SiteOption,
    },
    /// Empty a node: copy its keys to where they should be, and remove each when enough others hold it
    Drain {
        /// The node's name
        name: String,
        #[command(flatten)]
        site: SiteOption,
    },
    /// Take a node out of the configuration; its store stays as it is
    Remove {
        /// The node's name
        name: String,
        /// Even if it still has keys
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        site: SiteOption,
    },
}

#[derive(Debug, clap::Args)]
struct Add {
    /// Its name and where it keeps content, for example d=/disk4/keep
    #[arg(value_name = "NAME=SPEC", value_parser = super::init::node)]
    node: (String, String),
    /// The only repository that it serves
    #[arg(long, value_name = "NAME", value_parser = super::repo::name)]
    repo: Option<RepoName>,
    /// The UUID that it has of its own, if it is a git-annex repository
    #[arg(long, value_parser = uuid, requires = "repo")]
    uuid: Option<Uuid>,
    /// Where a secret stands that it asks for, for example s3creds=file:PATH or token=file:PATH, or NAME=env:VARIABLE; may be given again
    #[arg(long = "secret", value_name = "NAME=WHERE", value_parser = secret)]
    secrets: Vec<(String, Secret)>,
    #[command(flatten)]
    site: SiteOption,
}

impl Node {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let mut out = Lines::new();
        let mut tally = Tally::default();
        match self.action {
            Action::List { site, json } => list(&site.open()?, json, &mut out).await?,
            Action::Add(add) => add.run(&mut out, &mut tally).await?,
            Action::Replace(replace) => replace.run(&mut out, &mut tally).await?,
            Action::Set { name, cost, keep, reserve, maxsize, site } => {
                let site = site.open()?;
                site.set_node(&name, cost, keep.then_some(false))?;
                for (setting, size) in [("reserve", reserve), ("maxsize", maxsize)] {
                    if let Some(size) = size {
                        site.set_node_size(&name, setting, &size)?;
                    }
                }
            }
            Action::Drain { name, site } => drain(&site.open()?, &name, &mut out, &mut tally).await?,
            Action::Remove { name, force, site } => remove(&site.open()?, &name, force)?,
        }
        out.end()?;
        Ok(tally.code())
    }
}

async fn list(site: &Site, json: bool, out: &mut Lines) -> Result<(), Failure> {
    let hub = Hub::new(site.clone(), Box::new(Stores::default()), Shutdown::default());
    // Others would have to be connected to.
    let looked = status::nodes(&hub, |node| node.store.is_local()).await?;
    for (name, node) in &site.config().nodes {
        let repo = node.repo.as_ref().map(ToString::to_string);
        let store = node.store.absolute(site.root()).to_string();
        let room = looked.iter().find(|looked| looked.name == *name);
        let full = room.filter(|room| room.state == NodeState::Full);
        if json {
            let uuid = node.uuid.as_ref().map(ToString::to_string);
            let node = json!({
                "name": name, "store": store, "cost": node.cost, "drain": node.drain, "repo": repo, "uuid": uuid,
                "reserve": node.reserve, "maxsize": node.max_size, "full": full.is_some(),
                "free": room.and_then(|room| room.free), "held": room.and_then(|room| room.held),
            });
            out.line(node)?;
        } else {
            let repo = repo.map(|repo| format!(" (only {repo})")).unwrap_or_default();
            let drain = if node.drain { ", to become empty" } else { "" };
            let reserve = node.reserve.map(|bytes| format!(", reserve {}", size(bytes))).unwrap_or_default();
            let most = node.max_size.map(|bytes| format!(", maxsize {}", size(bytes))).unwrap_or_default();
            let full =
                full.and_then(|full| full.reason.as_ref()).map(|why| format!(", full: {why}")).unwrap_or_default();
            out.line(format_args!("{name}: {store}{repo}, cost {}{drain}{reserve}{most}{full}", node.cost))?;
        }
    }
    Ok(())
}

impl Add {
    async fn run(self, out: &mut Lines, tally: &mut Tally) -> Result<(), Failure> {
        let (name, spec) = &self.node;
        // A path that was typed here is meant from here, not from inside the site.
        let here = std::env::current_dir()?;
        let spec = NodeSpec::parse(spec).map_err(Failure::usage)?.absolute(&here);
        let secrets = self.secrets.iter().map(|(name, secret)| (name.clone(), secret.absolute(&here)));
        let secrets: BTreeMap<String, Secret> = secrets.collect();
        let site = self.site.open()?;
        if site.config().nodes.contains_key(name) {
            return Err(Failure::failed(format!("there is a node {name} already")));
        }
        let complete = spec.with_secrets(secrets.clone()).map_err(Failure::usage)?;
        crate::assemble::make_store(&site, &complete).await?;
        site.add_node(name, &spec, self.repo.as_ref(), self.uuid.as_ref(), &secrets)?;
        let site = site.reload()?;
        let hub = Hub::new(site.clone(), Box::new(Stores::default()), Shutdown::default());
        let mut probed = false;
        for repo in site.repos()? {
            let hosted = hub.open(&repo)?;
            if !hosted.repo.nodes.iter().any(|node| node.name == *name) {
                continue;
            }
            hosted.repo.advertise()?;
            if !std::mem::replace(&mut probed, true) {
                probe(&hub, &hosted, name, out, tally).await?;
            }
        }
        if !probed {
            out.line("not tried out: there is no repository yet that it serves")?;
        }
        Ok(())
    }
}

async fn probe(
    hub: &Hub,
    hosted: &crate::host::hub::Hosted,
    name: &str,
    out: &mut Lines,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let salt = uuid::Uuid::new_v4();
    for tried in upkeep::probe(&hub.gateway(hosted).await, name, salt.as_bytes()).await? {
        match tried.failure {
            None => {
                tally.done();
                out.line(format_args!("node {name} {}: works", tried.what))?;
            }
            Some(cause) => tally.failed(format_args!("node {name} {}: {cause}", tried.what)),
        }
    }
    Ok(())
}

async fn drain(site: &Site, name: &str, out: &mut Lines, tally: &mut Tally) -> Result<(), Failure> {
    site.set_node(name, None, Some(true))?;
    let hub = Hub::new(site.reload()?, Box::new(Stores::default()), Shutdown::default());
    for repo in site.repos()? {
        let hosted = hub.open(&repo)?;
        if !hosted.repo.nodes.iter().any(|node| node.name == name) {
            continue;
        }
        let drained = upkeep::drain(&hub.gateway(&hosted).await, name, &hub.paces().repair).await?;
        hosted.repo.branch.commit()?;
        (0..drained.gone).for_each(|_| tally.done());
        out.line(format_args!("{repo}: {} keys are gone from node {name}", drained.gone))?;
        for (key, cause) in drained.kept {
            tally.failed(format_args!("{repo}: {key} stays on node {name}: {cause}"));
        }
    }
    Ok(())
}

fn remove(site: &Site, name: &str, force: bool) -> Result<(), Failure> {
    let hub = Hub::new(site.clone(), Box::new(Stores::default()), Shutdown::default());
    for repo in site.repos()? {
        let hosted = hub.open(&repo)?;
        let Some(node) = hosted.repo.nodes.iter().find(|node| node.name == name) else { continue };
        let keys = hosted.repo.branch.count_keys(&node.uuid)?;
        if keys > 0 && !force {
            let text =
                format!("node {name} has {keys} keys of {repo}: `annex-keep node drain {name}` first, or --force");
            return Err(Failure::failed(text));
        }
    }
    site.remove_node(name)?;
    let hub = Hub::new(site.reload()?, Box::new(Stores::default()), Shutdown::default());
    for repo in site.repos()? {
        hub.open(&repo)?.repo.advertise()?;
    }
    Ok(())
}

fn secret(text: &str) -> Result<(String, Secret), String> {
    let (name, place) = text.split_once('=').ok_or_else(|| "NAME=file:PATH or NAME=env:VARIABLE".to_owned())?;
    Ok((name.to_owned(), Secret::parse(place)?))
}

fn uuid(text: &str) -> Result<Uuid, String> {
    Uuid::parse(text.as_bytes()).ok_or_else(|| format!("\"{text}\" is no UUID"))
}
