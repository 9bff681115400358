//! Configuration to running parts: the only place that names every kind of node.

use std::sync::Arc;

use crate::error::Failure;
use crate::gateway::{Gateway, Member};
use crate::keep::{Create, KeepStore, Options};
use crate::node::Node;
use crate::node::keep::KeepNode;
use crate::repo::{Repo, RepoNode};
use crate::site::Site;
use crate::site::config::NodeSpec;

/// Opens the nodes of a repository and puts its gateway together.
///
/// A node that cannot be opened is left out of nothing: it stays a member that fails when it is asked.
pub async fn gateway(site: &Site, repo: &Repo) -> Result<Gateway, Failure> {
    let mut members = Vec::new();
    for node in &repo.nodes {
        let (name, uuid) = (node.name.clone(), node.uuid.clone());
        members.push(Member { name, uuid, node: open(node).await });
    }
    Ok(Gateway::new(site.clone(), repo.branch.clone(), repo.identity.clone(), members))
}

async fn open(node: &RepoNode) -> Arc<dyn Node> {
    match &node.store {
        NodeSpec::Keep(path) => match KeepStore::open(path, Create::Never, Options::default()).await {
            Ok(store) => Arc::new(KeepNode::new(store, node.uuid.clone())),
            Err(error) => Arc::new(crate::node::Unavailable::new(error.to_string())),
        },
    }
}

/// Makes the stores of a new site.
pub async fn make_stores(site: &Site) -> Result<(), Failure> {
    for node in site.config().nodes.values() {
        match node.store.absolute(site.root()) {
            NodeSpec::Keep(path) => drop(KeepStore::open(&path, Create::IfMissing, Options::default()).await?),
        }
    }
    Ok(())
}
