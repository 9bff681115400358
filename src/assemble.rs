//! Configuration to running parts: the only place that names every kind of node.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annex_protocol::shell::{Action, AnnexCommand, Directory, split};
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use tokio::sync::{Mutex, OnceCell};

use crate::error::Failure;
use crate::gateway::{Gateway, Identity, Member};
use crate::keep::{Create, KeepError, KeepStore, Options};
use crate::node::keep::KeepNode;
use crate::node::p2p::{Bounds, P2pNode, Program};
use crate::node::p2p_http::{HttpNode, Password, Server};
use crate::node::{Lazy, Node, NodeError, Opener, Patience, Peer};
use crate::repo::{Repo, RepoNode};
use crate::serve::hub::Assemble;
use crate::site::Site;
use crate::site::config::{NodeSpec, P2pSpec, PasswordSource};

/// The stores that are open in this process, each once for all repositories.
#[derive(Default)]
pub struct Stores(Arc<Mutex<HashMap<PathBuf, Arc<OnceCell<KeepStore>>>>>);

#[async_trait]
impl Assemble for Stores {
    async fn gateway(&self, site: &Site, repo: &Repo) -> Gateway {
        let members = repo.nodes.iter().map(|node| {
            let (name, uuid) = (node.name.clone(), node.uuid.clone());
            Member { name, uuid, node: self.node(node, &repo.identity) }
        });
        Gateway::new(site.clone(), repo.branch.clone(), repo.identity.clone(), members.collect())
    }
}

impl Stores {
    /// A node that cannot be opened now is no reason to do without the others: it fails when it is asked.
    fn node(&self, node: &RepoNode, identity: &Identity) -> Arc<dyn Node> {
        match &node.store {
            NodeSpec::Keep(path) => {
                let (stores, path, uuid) = (Self(Arc::clone(&self.0)), path.clone(), node.uuid.clone());
                Arc::new(Lazy::new(Box::new(KeepOpener { stores, path, uuid })))
            }
            NodeSpec::P2p { server, gateway } => p2p(server, gateway.clone(), node.uuid.clone(), identity),
        }
    }

    async fn keep(&self, path: &Path) -> Result<KeepStore, KeepError> {
        let cell = Arc::clone(self.0.lock().await.entry(path.into()).or_default());
        cell.get_or_try_init(|| KeepStore::open(path, Create::Never, Options::default())).await.cloned()
    }
}

struct KeepOpener {
    stores: Stores,
    path: PathBuf,
    uuid: Uuid,
}

#[async_trait]
impl Opener for KeepOpener {
    async fn open(&self) -> Result<Arc<dyn Node>, NodeError> {
        match self.stores.keep(&self.path).await {
            Ok(store) => Ok(Arc::new(KeepNode::new(store, self.uuid.clone()))),
            Err(error) => Err(NodeError::Unreachable(error.to_string())),
        }
    }
}

/// A node that speaks the P2P protocol knows this gateway by the UUID of its repository.
fn p2p(server: &P2pSpec, gateway: Option<Uuid>, uuid: Uuid, identity: &Identity) -> Arc<dyn Node> {
    let bypass = [identity.gateway.clone(), identity.cluster.clone()].into();
    let client = identity.gateway.clone();
    let peer = Peer { uuid, gateway, client, bypass };
    let patience = Patience::default();
    let program = match server {
        P2pSpec::Ssh(ssh) => {
            let action = Action::P2pStdio { client: peer.client.clone() };
            let mut command = AnnexCommand::new(action, Directory::new(ssh.path.as_bytes()));
            command.uuid = Some(peer.uuid.clone());
            Program::ssh(&ssh.host, ssh.port, ssh.user.as_deref(), command.to_line())
        }
        P2pSpec::Command(line) => {
            let line = line.replace("{client}", &peer.client.to_string()).replace("{uuid}", &peer.uuid.to_string());
            // A line that cannot be split does not get past the configuration.
            Program::new(split(line.as_bytes()).unwrap_or_default())
        }
        P2pSpec::Http(http) => {
            let password = http.password.clone().map(|password| match password {
                PasswordSource::File(path) => Password::File(path),
                PasswordSource::Environment(name) => Password::Environment(name),
            });
            let (url, user, ca_file) = (http.url.clone(), http.user.clone(), http.ca_file.clone());
            let server = Server { url, credentials: user.zip(password), ca_file };
            return Arc::new(HttpNode::new(server, peer, patience));
        }
    };
    Arc::new(P2pNode::new(program, peer, patience, Bounds::default()))
}

/// Makes the stores of a new site.
pub async fn make_stores(site: &Site) -> Result<(), Failure> {
    for node in site.config().nodes.values() {
        if let NodeSpec::Keep(path) = node.store.absolute(site.root()) {
            drop(KeepStore::open(&path, Create::IfMissing, Options::default()).await?);
        }
    }
    Ok(())
}
