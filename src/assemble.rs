//! Configuration to running parts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use annex_gateway::database::postgres::Postgres;
use annex_gateway::database::sqlite::Sqlite;
use annex_gateway::database::{Database, DatabaseError};
use annex_gateway::gateway::{Gateway, Identity, Member, Terms};
use annex_gateway::node::kind::keep_at::{KeepAt, SharedStore};
use annex_gateway::node::kind::{Opening, Shared, SitePlace};
use annex_gateway::node::measured::Meters;
use annex_gateway::node::{Node, NodeSpec, Patience};
use annex_gateway::site::config::KeepVolume;
use annex_gateway::site::{NodeConfig, Site, SiteError, cluster};
use annex_gateway::spool::LazySpool;
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use keep_store::base::clock::SystemClock;
use keep_store::entries::Options;
use keep_store::service::Mount;

use crate::error::Failure;
use crate::host::hub::Assemble;
use crate::host::repo::Repo;

/// What is open in this process, each once for all repositories.
#[derive(Clone, Default)]
pub struct Stores {
    shared: Shared,
    /// Nodes that are behind a program, by name. Status asks the one that a repository works with.
    working: Arc<Mutex<HashMap<String, Arc<dyn Node>>>>,
    /// Temporary files for nodes that take complete ones.
    spool: Arc<OnceLock<LazySpool>>,
    meters: Meters,
}

#[async_trait]
impl Assemble for Stores {
    async fn gateway(&self, site: &Site, repo: &Repo) -> Gateway {
        let members = repo.nodes.iter().map(|node| {
            let made = node.store.node(&self.opening(site, &node.name, &node.uuid, &repo.identity));
            if node.store.kind().starts_program {
                self.working().insert(node.name.clone(), Arc::clone(&made));
            }
            let meter = self.meters.at(site.clock()).of(&node.name);
            let mut member = Member::new(&node.name, node.uuid.clone(), made, meter, patience(site));
            member.draining = node.draining;
            member.terms = site.config().nodes.get(&node.name).map(terms).unwrap_or_default();
            member
        });
        let members = members.collect();
        Gateway::new(site.clone(), repo.branch.clone(), repo.identity.clone(), members, self.spool(site))
    }

    fn nodes(&self, site: &Site) -> Vec<(String, Arc<dyn Node>)> {
        let node = |(name, node): (&String, &NodeConfig)| {
            // No program is started just to show the status of its node.
            if node.store.kind().starts_program {
                return self.working().get(name).map(|working| (name.clone(), Arc::clone(working)));
            }
            let opening = self.opening_for_anybody(site, name, node)?;
            Some((name.clone(), node.store.absolute(site.root()).node(&opening)))
        };
        site.config().nodes.iter().filter_map(node).collect()
    }

    fn mounts(&self, site: &Site) -> Result<Vec<Mount>, SiteError> {
        let cluster = site.cluster()?;
        let mut mounts: Vec<Mount> = Vec::new();
        for (name, node) in site.config().nodes.iter().filter(|(_, node)| node.store.kind().served) {
            let Some(opening) = self.opening_for_anybody(site, name, node) else { continue };
            let Some(at) = node.store.absolute(site.root()).keep(&opening) else { continue };
            let path = at.directory();
            let device = path.canonicalize().unwrap_or_else(|_| path.to_path_buf()).display().to_string();
            // Two nodes can be one store.
            if mounts.iter().any(|mount| mount.device == device) {
                continue;
            }
            let uuid = cluster::uuid(cluster, "nyw5e", node.id.as_bytes());
            let KeepVolume { read_only, replication, classes } = node.keep.clone();
            let store = Arc::new(SharedStore::new(self.shared.get(), at, opening.keep));
            mounts.push(Mount { uuid, device, read_only, replication, classes, store });
        }
        Ok(mounts)
    }

    async fn database(&self, site: &Site) -> Result<Arc<dyn Database>, DatabaseError> {
        Ok(match &site.config().database {
            Some(url) => Arc::new(Postgres::new(url)?),
            None => Arc::new(Sqlite::open(&site.root().join("catalogue.db")).await?),
        })
    }

    fn meters(&self) -> &Meters {
        &self.meters
    }
}

impl Stores {
    /// Returns what a site's node is opened with, for the repository with this identity.
    fn opening(&self, site: &Site, name: &str, uuid: &Uuid, identity: &Identity) -> Opening {
        Opening {
            name: name.to_owned(),
            uuid: uuid.clone(),
            client: identity.gateway.clone(),
            bypass: [identity.gateway.clone(), identity.cluster.clone()].into(),
            patience: patience(site),
            clock: Arc::clone(site.clock()),
            keep: keep_options(site, name),
            site: Some(SitePlace { root: site.root().to_path_buf(), spool: self.spool(site) }),
            shared: self.shared.clone(),
        }
    }

    /// Returns the same for no repository: how a node is, and the store that it stands on, is the same for all of them.
    fn opening_for_anybody(&self, site: &Site, name: &str, node: &NodeConfig) -> Option<Opening> {
        let uuid = node.uuid.clone().or_else(|| Uuid::parse(node.id.to_string().as_bytes()))?;
        let nobody = Identity { gateway: uuid.clone(), cluster: uuid.clone() };
        Some(self.opening(site, name, &uuid, &nobody))
    }

    /// Makes a node that belongs to no site, for a client without a repository of its own; `None` for one that wants a
    /// site.
    pub fn outside(&self, store: &NodeSpec, uuid: &Uuid) -> Option<Arc<dyn Node>> {
        let client = Uuid::parse(uuid::Uuid::new_v4().to_string().as_bytes())?;
        let opening = Opening {
            name: store.to_string(),
            uuid: uuid.clone(),
            bypass: [client.clone()].into(),
            client,
            patience: Patience::default(),
            clock: SystemClock::shared(),
            keep: Options::default(),
            site: None,
            shared: self.shared.clone(),
        };
        (!store.needs_site()).then(|| store.node(&opening))
    }

    fn working(&self) -> MutexGuard<'_, HashMap<String, Arc<dyn Node>>> {
        self.working.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spool(&self, site: &Site) -> LazySpool {
        let make = || LazySpool::new(&site.root().join("run/spool"), site.config().limits.spool_reserve, site.clock());
        self.spool.get_or_init(make).clone()
    }
}

fn keep_options(site: &Site, name: &str) -> Options {
    let usual = Options::default();
    let reserve = site.config().nodes.get(name).and_then(|node| node.reserve).unwrap_or(usual.reserve);
    Options { reserve, trash_lifetime: site.config().keep.trash_lifetime, ..usual }
}

/// How long the nodes of a site are waited for.
fn patience(site: &Site) -> Patience {
    Patience::of(site.config().limits.answer)
}

fn terms(node: &NodeConfig) -> Terms {
    let (cost, local, reserve) = (node.cost, node.store.is_local(), node.reserve_beside_store());
    Terms { cost, local, reserve, max_size: node.max_size }
}

/// Makes the stores of a new site.
pub async fn make_stores(site: &Site) -> Result<(), Failure> {
    for node in site.config().nodes.values() {
        make_store(site, &node.store).await?;
    }
    Ok(())
}

/// Makes the store of a new node. Never done for one that was there before: its disk may just be away.
pub async fn make_store(site: &Site, spec: &NodeSpec) -> Result<(), Failure> {
    let made = spec.absolute(site.root()).make(&opening_without_node(site)?).await;
    made.map_err(|error| Failure::failed(error.reason()))
}

/// Returns where the Keep store of a site's node is.
pub fn keep_of_node(site: &Site, name: &str) -> Result<Arc<dyn KeepAt>, Failure> {
    let node = site.config().nodes.get(name).ok_or_else(|| Failure::usage(format!("there is no node {name}")))?;
    let at = node.store.absolute(site.root()).keep(&opening_without_node(site)?);
    at.ok_or_else(|| Failure::usage(format!("node {name} is no Keep store")))
}

/// Returns what it takes to look at the place of a node, and to use none.
fn opening_without_node(site: &Site) -> Result<Opening, Failure> {
    let nobody = Uuid::parse(uuid::Uuid::new_v4().to_string().as_bytes());
    let nobody = nobody.ok_or_else(|| Failure::failed("there are no UUIDs"))?;
    let identity = Identity { gateway: nobody.clone(), cluster: nobody.clone() };
    Ok(Stores::default().opening(site, "", &nobody, &identity))
}
