//! `annex-keep repo`: the hosted repositories of a site.

use std::path::Path;
use std::process::ExitCode;

use annex_gateway::site::user::Role;
use annex_gateway::site::{RepoName, Site, SiteError};
use clap::Subcommand;
use serde_json::json;

use super::output::Lines;
use super::site::SiteOption;
use crate::error::Failure;
use crate::host::repo::{Repo as Hosted, RepoError};

/// List, make, change and remove hosted repositories
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
        settings: Settings,
        #[command(flatten)]
        site: SiteOption,
    },
    /// Change what is set for a repository
    Set {
        /// Its name
        #[arg(value_parser = name)]
        name: RepoName,
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        site: SiteOption,
    },
    /// Show a repository's UUIDs, nodes and settings
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
    /// Remove a repository's history, and what was set for it; content stays in the nodes' stores
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

#[derive(Debug, clap::Args)]
struct Settings {
    /// What somebody without a name may do there: none, read, or default for what the site's configuration says
    #[arg(long, value_name = "ROLE", value_parser = anonymous)]
    anonymous: Option<Anonymous>,
}

/// What to set for somebody without a name.
#[derive(Debug, Clone, Copy)]
struct Anonymous(Option<Role>);

impl Repo {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let mut out = Lines::new();
        match self.action {
            Action::List { site, json } => {
                let site = site.open()?;
                for name in site.repos()? {
                    if json {
                        let anonymous = site.anonymous(&name)?.to_string();
                        out.line(json!({ "name": name.to_string(), "anonymous": anonymous }))?;
                    } else {
                        out.line(name)?;
                    }
                }
            }
            Action::Create { name, settings, site } => {
                let site = site.open()?;
                // Settings of an earlier repository of this name are not for this one.
                if matches!(Hosted::open(&site, &name), Err(RepoError::Missing(_))) {
                    site.set_anonymous(&name, settings.anonymous.and_then(|anonymous| anonymous.0))?;
                }
                let repo = Hosted::create(&site, &name)?;
                out.line(format_args!("made the repository {name}, cluster {}", repo.identity.cluster))?;
            }
            Action::Set { name, settings, site } => {
                let site = site.open()?;
                Hosted::open(&site, &name)?;
                let Some(Anonymous(role)) = settings.anonymous else {
                    return Err(Failure::usage("nothing to set: name it, for example --anonymous read"));
                };
                site.set_anonymous(&name, role)?;
            }
            Action::Info { name, site, json } => info(&site.open()?, &name, json, &mut out)?,
            Action::Remove { name, site, force } => remove(&site.open()?, &name, force, &mut out)?,
        }
        out.end()?;
        Ok(ExitCode::SUCCESS)
    }
}

fn anonymous(text: &str) -> Result<Anonymous, String> {
    match text {
        "default" => Ok(Anonymous(None)),
        "none" => Ok(Anonymous(Some(Role::None))),
        "read" => Ok(Anonymous(Some(Role::Read))),
        _ => Err("it should be none, read or default".to_owned()),
    }
}

pub(super) fn name(text: &str) -> Result<RepoName, SiteError> {
    RepoName::parse(text.as_bytes())
}

fn info(site: &Site, name: &RepoName, json: bool, out: &mut Lines) -> Result<(), Failure> {
    let repo = Hosted::open(site, name)?;
    let (gateway, cluster) = (repo.identity.gateway.to_string(), repo.identity.cluster.to_string());
    let dir = repo.git.dir().display();
    let anonymous = site.anonymous(name)?;
    if json {
        let node = |node: &crate::host::repo::RepoNode| json!({ "name": node.name, "uuid": node.uuid.to_string(), "store": node.store.to_string() });
        let nodes: Vec<_> = repo.nodes.iter().map(node).collect();
        let name = name.to_string();
        let dir = dir.to_string();
        let anonymous = anonymous.to_string();
        let known = json!({ "name": name, "dir": dir, "gateway": gateway, "cluster": cluster, "anonymous": anonymous, "nodes": nodes });
        out.line(known)?;
        return Ok(());
    }
    out.line(format_args!("repository  {name}\ndirectory   {dir}\ncluster     {cluster}\ngateway     {gateway}"))?;
    out.line(format_args!("anonymous   {anonymous}"))?;
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
    site.forget_repo(name)?;
    std::fs::remove_dir_all(&gone)?;
    remove_empty_parents(dir, &site.root().join("repos"));
    out.line(format_args!("removed the repository {name}"))?;
    Ok(())
}

/// Removes the directories of a nested name that nothing else is in.
fn remove_empty_parents(dir: &Path, top: &Path) {
    let inside = dir.ancestors().skip(1).take_while(|parent| *parent != top && parent.starts_with(top));
    for parent in inside {
        if std::fs::remove_dir(parent).is_err() {
            return;
        }
    }
}
