//! What a client does with the content of keys: one set of steps for all doors.
//!
//! Each request goes the same way: it begins, waits for its turn if it moves content, asks the gateway, moves bytes within
//! the limits, and ends with an outcome that is logged and counted. A door turns the words of its protocol into these calls
//! and what comes of them into its answers; it begins and ends nothing by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use annex_gateway::gateway::{ErrorKind, Gateway, GatewayError, HasKind, Target};
use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;

use crate::host::hub::{Hosted, Hub};
use crate::host::traffic::{Busy, Operation, Scope};

mod get;
mod lock;
mod put;
mod remove;

pub use get::Download;
pub use lock::HeldLock;
pub use put::{Offset, PutAnswer, Source, Upload};

/// A client's access to the content of a repository: for whom, through which door, and to which of its nodes.
pub struct Access {
    /// The repository's nodes.
    pub gateway: Gateway,
    /// The UUID that the client asked for.
    pub uuid: Uuid,
    /// What that UUID stands for.
    pub target: Target,
    /// For whom requests are, and where they are counted.
    pub scope: Scope,
    /// How what was recorded is committed.
    pub commits: Commits,
}

/// How changes of the git-annex branch's journal come into the branch. Cloning is cheap.
#[derive(Clone)]
pub enum Commits {
    /// In the background, soon.
    Soon(Hub, Arc<Hosted>),
    /// By the door, which looks whether there is something.
    ByDoor(Arc<AtomicBool>),
}

/// Why a client's request for content failed.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// It got no turn.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The gateway could not do it.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
}

impl HasKind for AccessError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Busy(busy) => busy.kind(),
            Self::Gateway(error) => error.kind(),
        }
    }
}

impl Access {
    /// Tells whether a key's content is there.
    pub async fn present(&self, key: &Key) -> Result<bool, GatewayError> {
        let request = self.scope.request(Operation::CheckPresent, key);
        request.settle(self.gateway.present(self.target, key).await)
    }

    /// Leaves out the UUID that the client asked for: it knows that one from the answer itself.
    pub fn others(&self, mut uuids: Vec<Uuid>) -> Vec<Uuid> {
        uuids.retain(|uuid| *uuid != self.uuid);
        uuids
    }
}

impl Commits {
    /// Is told that something may have been recorded.
    fn note(&self) {
        match self {
            Self::Soon(hub, hosted) => hub.commit_soon(hosted),
            Self::ByDoor(due) => due.store(true, Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use annex_gateway::site::config::Limits;
    use annex_gateway::site::{RepoName, Site};
    use annex_gateway::spool::LazySpool;
    use annex_protocol::p2p::AssociatedFile;
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::host::caller::Who;
    use crate::host::repo::Repo;
    use crate::host::traffic::Traffic;

    /// Access to a repository without nodes.
    fn access(dir: &std::path::Path, limit: impl FnOnce(&mut Limits)) -> Access {
        let site = Site::init(&dir.join("site"), &[]).unwrap();
        let mut limits = site.config().limits.clone();
        limit(&mut limits);
        let name = RepoName::parse(b"data").unwrap();
        let repo = Repo::create(&site, &name).unwrap();
        let spool = LazySpool::new(site.root(), 0, site.clock());
        let gateway = Gateway::new(site, repo.branch, repo.identity.clone(), Vec::new(), spool);
        let scope = Scope { traffic: Traffic::new(&limits), who: Who::Anonymous, repo: name, door: "http" };
        let commits = Commits::ByDoor(Arc::default());
        Access { gateway, uuid: repo.identity.cluster, target: Target::Cluster, scope, commits }
    }

    /// Returns how many requests ended in which way, as lines `operation outcome count`.
    fn ended(access: &Access) -> Vec<String> {
        let (mut registry, mut text) = (Registry::default(), String::new());
        access.scope.traffic.counters().register(&mut registry);
        text::encode(&mut text, &registry).unwrap();
        let label = |line: &str, name: &str| {
            let (_, rest) = line.split_once(&format!("{name}=\"")).unwrap();
            rest.split_once('"').unwrap().0.to_owned()
        };
        let lines = text.lines().filter(|line| line.starts_with("requests_total"));
        let mut lines: Vec<_> = lines
            .map(|line| {
                let count = line.rsplit_once(' ').unwrap().1;
                format!("{} {} {count}", label(line, "operation"), label(line, "outcome"))
            })
            .collect();
        lines.sort();
        lines
    }

    fn key() -> Key {
        Key::parse(b"SHA256-s0--e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855").unwrap()
    }

    #[tokio::test]
    async fn each_request_ends_once_with_what_came_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let access = access(dir.path(), |_| {});
        let (key, file) = (key(), AssociatedFile::default());
        assert!(!access.present(&key).await.unwrap());
        assert!(access.get(&key, 0).await.unwrap().is_none());
        assert!(access.size(&key).await.unwrap().is_none());
        assert!(access.lock(&key).await.unwrap().is_none());
        assert!(access.lock_by_name(&key).await.unwrap().is_none());
        assert!(access.came_another_way(&key).await.unwrap().is_empty());
        assert_eq!(access.put(&key, &file).await.err().unwrap().kind(), ErrorKind::Denied);
        assert_eq!(access.offset(&key, &file).await.err().unwrap().kind(), ErrorKind::Denied);
        assert!(access.remove(&key, None).await.unwrap().failures.is_empty());
        let wanted = ["checkpresent no 2", "get no 1", "lock no 2", "put failed 2", "put no 1", "remove done 1"];
        assert_eq!(ended(&access), wanted);
        assert!(access.scope.traffic.transfers().is_empty());
    }

    #[tokio::test]
    async fn a_request_that_is_dropped_ends_as_broken_off() {
        let dir = tempfile::tempdir().unwrap();
        let access = access(dir.path(), |_| {});
        let mut request = access.scope.request(Operation::Get, &key());
        request.turn().await.unwrap();
        assert_eq!(access.scope.traffic.transfers().len(), 1);
        drop(request);
        assert_eq!(ended(&access), ["get failed 1"]);
        assert!(access.scope.traffic.transfers().is_empty());
        assert_eq!(access.scope.traffic.running_and_waiting(), (0, 0));
    }

    #[tokio::test]
    async fn whoever_gets_no_turn_is_told_that_the_server_is_busy() {
        let dir = tempfile::tempdir().unwrap();
        let access = access(dir.path(), |limits| (limits.transfers, limits.waiting) = (1, 0));
        let mut running = access.scope.request(Operation::Get, &key());
        running.turn().await.unwrap();
        let refused = access.get(&key(), 0).await.err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Busy);
        assert_eq!(ended(&access), ["get failed 1"]);
    }
}
