//! `annex-keep repo`: the hosted repositories of a site.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::output::Lines;
use super::site::SiteOption;
use crate::error::Failure;
use crate::repo::Repo as Hosted;
use crate::site::{RepoName, Site, SiteError};

/// List, make and remove hosted repositories
#[derive(Debug, clap::Args)]
pub(super) struct Repo {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the repositories
    List {
        #[command(flatten)]
        site: SiteOption,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Make an empty repository with the site's nodes
    Create {
        /// Its name, perhaps nested: org/data
        #[arg(value_parser = name)]
        name: RepoName,
        #[command(flatten)]
        site: SiteOption,
    },
    /// Show a repository's UUIDs and nodes
    Info {
        /// Its name
        #[arg(value_parser = name)]
        name: RepoName,
        #[command(flatten)]
        site: SiteOption,
        /// As a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Remove a repository's history; content stays in the nodes' stores
    Remove {
        /// Its name
        #[arg(value_parser = name)]
        name: RepoName,
        #[command(flatten)]
        site: SiteOption,
        /// Do it: the history is gone afterwards
        #[arg(long)]
        force: bool,
    },
}

impl Repo {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let mut out = Lines::new();
        match self.action {
            Action::List { site, json } => {
                for name in site.open()?.repos()? {
                    if json {
                        out.line(json!({ "name": name.to_string() }))?;
                    } else {
                        out.line(name)?;
                    }
                }
            }
            Action::Create { name, site } => {
                let repo = Hosted::create(&site.open()?, &name)?;
                out.line(format_args!("made the repository {name}, cluster {}", repo.identity.cluster))?;
            }
            Action::Info { name, site, json } => info(&site.open()?, &name, json, &mut out)?,
            Action::Remove { name, site, force } => remove(&site.open()?, &name, force, &mut out)?,
        }
        out.end()?;
        Ok(ExitCode::SUCCESS)
    }
}

pub(super) fn name(text: &str) -> Result<RepoName, SiteError> {
    RepoName::parse(text.as_bytes())
}

fn info(site: &Site, name: &RepoName, json: bool, out: &mut Lines) -> Result<(), Failure> {
    let repo = Hosted::open(site, name)?;
    let (gateway, cluster) = (repo.identity.gateway.to_string(), repo.identity.cluster.to_string());
    let dir = repo.git.dir().display();
    if json {
        let node = |node: &crate::repo::RepoNode| json!({ "name": node.name, "uuid": node.uuid.to_string(), "store": node.store.to_string() });
        let nodes: Vec<_> = repo.nodes.iter().map(node).collect();
        let name = name.to_string();
        let dir = dir.to_string();
        let known = json!({ "name": name, "dir": dir, "gateway": gateway, "cluster": cluster, "nodes": nodes });
        out.line(known)?;
        return Ok(());
    }
    out.line(format_args!("repository  {name}\ndirectory   {dir}\ncluster     {cluster}\ngateway     {gateway}"))?;
    for node in &repo.nodes {
        out.line(format_args!("node {:<6} {}  {}", node.name, node.uuid, node.store))?;
    }
    Ok(())
}

fn remove(site: &Site, name: &RepoName, force: bool, out: &mut Lines) -> Result<(), Failure> {
    let repo = Hosted::open(site, name)?;
    if !force {
        return Err(Failure::usage(format!("this removes the history of {name} for good: say --force to do it")));
    }
    // Out of sight at once, so that nobody opens half a repository.
    let dir = repo.git.dir();
    let gone = dir.with_file_name(format!(".removing-{}", uuid::Uuid::new_v4()));
    std::fs::rename(dir, &gone)?;
    std::fs::remove_dir_all(&gone)?;
    out.line(format_args!("removed the repository {name}"))?;
    Ok(())
}
