//! What all doors of a process share: the site, its open repositories, and what goes on in them.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use annex_gateway::database::{Database, DatabaseError};
use annex_gateway::gateway::{Gateway, GatewayError, Target};
use annex_gateway::node::Node;
use annex_gateway::node::measured::Meters;
use annex_gateway::pace::Pace;
use annex_gateway::site::{Config, RepoName, Site, SiteError};
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use keep_store::base::task::{Shutdown, blocking};
use keep_store::service::Mount;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore, watch};

use crate::arvados::catalogue::Catalogue;
use crate::arvados::keep::SiteKeep;
use crate::arvados::{Api, ApiError};
use crate::host::repo::{Repo, RepoError};
use crate::host::traffic::Traffic;

/// Opens the nodes of a repository: what doors may ask for, but not do.
#[async_trait]
pub trait Assemble: Send + Sync {
    /// Puts the gateway of a repository together.
    async fn gateway(&self, site: &Site, repo: &Repo) -> Gateway;

    /// Returns the nodes of a site by name, to ask them how they are.
    fn nodes(&self, site: &Site) -> Vec<(String, Arc<dyn Node>)>;

    /// Returns the Keep stores of a site, each once.
    fn mounts(&self, site: &Site) -> Result<Vec<Mount>, SiteError>;

    /// Opens the database of the site's catalogue.
    async fn database(&self, site: &Site) -> Result<Arc<dyn Database>, DatabaseError>;

    /// Returns what is counted about nodes.
    fn meters(&self) -> &Meters;
}

/// What all doors share. Cloning is cheap.
#[derive(Clone)]
pub struct Hub(Arc<Shared>);

struct Shared {
    site: RwLock<Site>,
    assemble: Box<dyn Assemble>,
    open: Mutex<OpenRepos>,
    keep: Mutex<Option<SiteKeep>>,
    catalogue: OnceCell<Catalogue>,
    /// For what requests to the API server hold: one permit for each KiB.
    body_room: Arc<Semaphore>,
    traffic: Traffic,
    shutdown: Shutdown,
    started: Instant,
    listening: Mutex<Vec<String>>,
    paces: Paces,
    /// Told when the configuration was read again.
    reloads: watch::Sender<()>,
}

/// How fast background work may go.
#[derive(Default)]
pub struct Paces {
    /// Bytes of repairs, of all of them together.
    pub repair: Pace,
    /// Bytes that are read again.
    pub scrub: Pace,
}

/// Repositories that are open, and whose UUIDs are known.
#[derive(Default)]
struct OpenRepos {
    repos: HashMap<RepoName, Arc<Hosted>>,
    uuids: HashMap<Uuid, RepoName>,
    looked: Option<Instant>,
}

/// An open repository.
pub struct Hosted {
    /// The repository.
    pub repo: Repo,
    /// Which directory was opened: another one of the same name is another repository.
    stamp: Stamp,
    gateway: OnceCell<Gateway>,
    /// A commit of the git-annex branch's journal is due.
    dirty: AtomicBool,
}

/// What tells a directory from another one that takes its place, its number perhaps included.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    born: Option<SystemTime>,
}

/// After a change that came outside of a session, the git-annex branch is committed this much later.
pub const COMMIT_AFTER: Duration = Duration::from_secs(1);

/// How long after a commit that failed the next one is tried.
const COMMIT_AGAIN: Duration = Duration::from_secs(10);

/// Bytes that the bodies of requests to the API server may have together.
const MOST_BODY_BYTES: usize = 256 << 20;

/// How often, at most, all repositories are looked through for a UUID that nobody knows.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Hub {
    /// Makes the hub of a site. Must be called on the runtime if the doors are to serve.
    pub fn new(site: Site, assemble: Box<dyn Assemble>, shutdown: Shutdown) -> Self {
        let traffic = Traffic::new(&site.config().limits);
        let (open, keep, catalogue) = (Mutex::default(), Mutex::default(), OnceCell::new());
        let body_room = Arc::new(Semaphore::new(MOST_BODY_BYTES >> 10));
        let (paces, reloads) = (Paces::default(), watch::Sender::new(()));
        paces.set(site.config());
        let (site, started, listening) = (RwLock::new(site), Instant::now(), Mutex::default());
        Self(Arc::new(Shared {
            site,
            assemble,
            open,
            keep,
            catalogue,
            body_room,
            traffic,
            shutdown,
            started,
            listening,
            paces,
            reloads,
        }))
    }

    /// Returns the site as it is configured now.
    pub fn site(&self) -> Site {
        self.0.site.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns what goes on.
    pub fn traffic(&self) -> &Traffic {
        &self.0.traffic
    }

    /// Returns how fast background work may go.
    pub fn paces(&self) -> &Paces {
        &self.0.paces
    }

    /// Returns what changes when the configuration is read again.
    pub fn reloads(&self) -> watch::Receiver<()> {
        self.0.reloads.subscribe()
    }

    /// Returns what tells of the program's end.
    pub fn shutdown(&self) -> &Shutdown {
        &self.0.shutdown
    }

    /// Returns what is counted about nodes.
    pub fn meters(&self) -> &Meters {
        self.0.assemble.meters()
    }

    /// Returns what puts nodes together.
    pub(super) fn assemble(&self) -> &dyn Assemble {
        &*self.0.assemble
    }

    /// Runs work in the background, until it is done or the program ends.
    pub fn in_background(&self, work: impl Future<Output = ()> + Send + 'static) {
        let drain = self.0.shutdown.drain.clone();
        self.0.shutdown.running.spawn(async move { drain.run_until_cancelled(work).await });
    }

    /// Tells for how long this has been going on.
    pub fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// Notes that a door is open at an address.
    pub fn listens(&self, at: impl Into<String>) {
        self.0.listening.lock().unwrap_or_else(PoisonError::into_inner).push(at.into());
    }

    /// Returns where doors are open.
    pub fn listeners(&self) -> Vec<String> {
        self.0.listening.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns how many repositories are open.
    pub fn open_repositories(&self) -> usize {
        self.opened().repos.len()
    }

    /// Reads the configuration again. What is under way goes on with the old one.
    pub fn reload(&self) -> Result<(), SiteError> {
        let site = self.site().reload()?;
        self.0.traffic.set_limits(&site.config().limits);
        self.0.paces.set(site.config());
        *self.0.site.write().unwrap_or_else(PoisonError::into_inner) = site;
        *self.opened() = OpenRepos::default();
        *self.0.keep.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.0.reloads.send_replace(());
        Ok(())
    }

    /// Returns the site's Keep.
    pub async fn keep(&self) -> Result<SiteKeep, SiteError> {
        let hub = self.clone();
        blocking(move || {
            let site = hub.site();
            let mut keep = hub.0.keep.lock().unwrap_or_else(PoisonError::into_inner);
            match &*keep {
                Some(keep) => Ok(keep.clone()),
                None => Ok(keep.insert(SiteKeep::new(&site, hub.0.assemble.mounts(&site)?)?).clone()),
            }
        })
        .await
    }

    /// Returns the catalogue of the site's collections. A database that is away is looked for again the next time.
    pub async fn catalogue(&self) -> Result<Catalogue, DatabaseError> {
        let site = self.site();
        let open = || async { Catalogue::open(self.0.assemble.database(&site).await?).await };
        self.0.catalogue.get_or_try_init(open).await.cloned()
    }

    /// Waits until there is room in memory for a request's body of so many bytes, and holds it.
    pub async fn room_for(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let wanted = u32::try_from(bytes.min(MOST_BODY_BYTES) >> 10).unwrap_or(u32::MAX);
        Arc::clone(&self.0.body_room).acquire_many_owned(wanted).await.ok()
    }

    /// Returns what answers Arvados clients.
    pub async fn api(&self) -> Result<Api, ApiError> {
        Ok(Api::new(self.site(), self.catalogue().await?, self.keep().await?))
    }

    /// Opens a repository, or returns the one that is open. Blocks.
    pub fn open(&self, name: &RepoName) -> Result<Arc<Hosted>, RepoError> {
        let site = self.site();
        let missing = |_| RepoError::Missing(name.clone());
        let stamp = std::fs::metadata(site.repo_dir(name)).map(|dir| Stamp::of(&dir)).map_err(missing)?;
        if let Some(hosted) = self.opened().repos.get(name).filter(|hosted| hosted.stamp == stamp) {
            return Ok(Arc::clone(hosted));
        }
        let repo = Repo::open(&site, name)?;
        let hosted = Hosted { stamp, repo, gateway: OnceCell::new(), dirty: AtomicBool::new(false) };
        let hosted = Arc::new(hosted);
        self.0.traffic.name_nodes(hosted.repo.nodes.iter().map(|node| (&node.uuid, node.name.as_str())));
        let mut open = self.opened();
        let identity = &hosted.repo.identity;
        let nodes = hosted.repo.nodes.iter().map(|node| &node.uuid);
        open.uuids.retain(|_, known| known != name);
        for uuid in [&identity.gateway, &identity.cluster].into_iter().chain(nodes) {
            open.uuids.insert(uuid.clone(), name.clone());
        }
        open.repos.insert(name.clone(), Arc::clone(&hosted));
        Ok(hosted)
    }

    /// Opens a repository, making it if it is not there. Two clients may come with the first push at once. Blocks.
    pub fn open_or_create(&self, name: &RepoName) -> Result<Arc<Hosted>, RepoError> {
        match self.open(name) {
            Err(RepoError::Missing(_)) => {}
            opened => return opened,
        }
        match Repo::create(&self.site(), name) {
            Ok(_) | Err(RepoError::Exists(_)) => self.open(name),
            Err(error) => Err(error),
        }
    }

    /// Finds the repository that a UUID belongs to: its cluster's, its gateway's, or one of its nodes'.
    pub async fn find(&self, uuid: &Uuid) -> Result<Option<Arc<Hosted>>, RepoError> {
        let (hub, uuid) = (self.clone(), uuid.clone());
        blocking(move || hub.find_blocking(&uuid)).await
    }

    fn find_blocking(&self, uuid: &Uuid) -> Result<Option<Arc<Hosted>>, RepoError> {
        for _ in 0..2 {
            let known = self.opened().uuids.get(uuid).cloned();
            match known.map(|name| self.open(&name)).transpose() {
                // A repository of the same name may be another one by now.
                Ok(Some(hosted)) if hosted.has(uuid) => return Ok(Some(hosted)),
                Ok(_) | Err(RepoError::Missing(_)) => {}
                Err(error) => return Err(error),
            }
            if !self.look_through()? {
                break;
            }
        }
        Ok(None)
    }

    /// Opens all repositories that are not open, to learn their UUIDs; false if that was done just now.
    fn look_through(&self) -> Result<bool, RepoError> {
        {
            let mut open = self.opened();
            if open.looked.is_some_and(|then| then.elapsed() < LOOK_EVERY) {
                return Ok(false);
            }
            open.looked = Some(Instant::now());
        }
        for name in self.site().repos()? {
            if let Err(error) = self.open(&name) {
                tracing::warn!("{name}: {error}");
            }
        }
        Ok(true)
    }

    /// Sees to it that what was recorded in a repository's journal is committed soon.
    pub fn commit_soon(&self, hosted: &Arc<Hosted>) {
        if hosted.dirty.swap(true, Ordering::SeqCst) {
            return;
        }
        let (hosted, shutdown) = (Arc::clone(hosted), self.0.shutdown.clone());
        self.0.shutdown.running.spawn(async move {
            let mut wait = COMMIT_AFTER;
            loop {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = shutdown.stop.cancelled() => {}
                }
                hosted.dirty.store(false, Ordering::SeqCst);
                let branch = hosted.repo.branch.clone();
                let Err(error) = blocking(move || branch.commit()).await else { return };
                tracing::error!("{}: recording in the git-annex branch: {error}", hosted.repo.name);
                // Somebody who recorded something meanwhile tries again as well.
                if shutdown.stop.is_cancelled() || hosted.dirty.swap(true, Ordering::SeqCst) {
                    return;
                }
                wait = COMMIT_AGAIN;
            }
        });
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, OpenRepos> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the gateway to a repository's nodes.
    pub async fn gateway(&self, hosted: &Hosted) -> Gateway {
        let site = self.site();
        hosted.gateway.get_or_init(|| self.0.assemble.gateway(&site, &hosted.repo)).await.clone()
    }

    /// Returns the gateway to a repository's nodes, and what a UUID means there.
    pub async fn target(&self, hosted: &Hosted, uuid: &Uuid) -> Result<(Gateway, Target), GatewayError> {
        let gateway = self.gateway(hosted).await;
        let target = gateway.target(uuid).ok_or_else(|| {
            let found = hosted.repo.identity.cluster.clone();
            GatewayError::OtherRepository { expected: uuid.clone(), found }
        })?;
        Ok((gateway, target))
    }
}

impl Paces {
    fn set(&self, config: &Config) {
        self.repair.set(config.repair.bytes_per_second);
        self.scrub.set(Some(config.scrub.bytes_per_second));
    }
}

impl Stamp {
    fn of(dir: &Metadata) -> Self {
        Self { device: dir.dev(), inode: dir.ino(), born: dir.created().ok() }
    }
}

impl Hosted {
    fn has(&self, uuid: &Uuid) -> bool {
        let identity = &self.repo.identity;
        identity.cluster == *uuid || identity.gateway == *uuid || self.repo.nodes.iter().any(|node| node.uuid == *uuid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use annex_gateway::spool::LazySpool;

    #[derive(Default)]
    struct NoNodes(Meters);

    #[async_trait]
    impl Assemble for NoNodes {
        fn nodes(&self, _site: &Site) -> Vec<(String, Arc<dyn Node>)> {
            Vec::new()
        }

        fn mounts(&self, _site: &Site) -> Result<Vec<Mount>, SiteError> {
            Ok(Vec::new())
        }

        async fn database(&self, _site: &Site) -> Result<Arc<dyn Database>, DatabaseError> {
            Err(DatabaseError::Setting("there is none".to_owned()))
        }

        fn meters(&self) -> &Meters {
            &self.0
        }

        async fn gateway(&self, site: &Site, repo: &Repo) -> Gateway {
            let spool = LazySpool::new(site.root(), 0, site.clock());
            Gateway::new(site.clone(), repo.branch.clone(), repo.identity.clone(), Vec::new(), spool)
        }
    }

    #[test]
    fn a_repository_that_was_removed_is_not_served_on_nor_taken_for_its_successor() {
        let dir = tempfile::tempdir().unwrap();
        let site = Site::init(&dir.path().join("site"), &[]).unwrap();
        let name = RepoName::parse(b"data").unwrap();
        let hub = Hub::new(site.clone(), Box::new(NoNodes::default()), Shutdown::default());
        let mut known = Vec::new();
        for _ in 0..5 {
            assert!(matches!(hub.open(&name), Err(RepoError::Missing(_))));
            let made = Repo::create(&site, &name).unwrap().identity.cluster;
            let opened = hub.open(&name).unwrap();
            assert_eq!(opened.repo.identity.cluster, made);
            assert!(Arc::ptr_eq(&opened, &hub.open(&name).unwrap()), "it stays open");
            for old in &known {
                assert!(hub.find_blocking(old).unwrap().is_none());
            }
            assert!(hub.find_blocking(&made).unwrap().is_some());
            known.push(made);
            std::fs::remove_dir_all(site.repo_dir(&name)).unwrap();
        }
    }
}
