//! lockcontent and keeplocked.
//!
//! Source: `docs/spec/p2p-http.md` §3.6.

use annex_protocol::key::Key;
use async_trait::async_trait;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;

use super::body::Streamed;
use super::repository::Repository;
use crate::node::error::NodeError;
use crate::node::port::Hold;
use crate::node::relock::lock_again;

/// A lock with the request that keeps it.
///
/// The server keeps it while the request runs, and for [`LOCKED`](crate::lock_time::LOCKED) from the lock's start when
/// that breaks.
pub(super) struct HttpHold {
    repository: Repository,
    key: Key,
    request: Streamed,
}

#[derive(Deserialize)]
struct Locked {
    locked: bool,
    lockid: Option<String>,
}

impl HttpHold {
    /// Locks a key; `None` if it is not there, or just being removed.
    pub(super) async fn take(repository: &Repository, key: &Key) -> Result<Option<Self>, NodeError> {
        let client = repository.client().await?;
        let answer: Locked = client.ask(&repository.peer, "lockcontent", key).await?;
        let (true, Some(lockid)) = (answer.locked, answer.lockid) else { return Ok(None) };
        // The server has written the value as a URL's value already.
        let request = client.request(Method::POST, &repository.peer, "keeplocked", &[("lockid", lockid)]);
        let request = request.header(CONTENT_TYPE, "application/json;charset=utf-8");
        let request = Streamed::start(request.header("Keep-Alive", "timeout=1200"));
        let hold = Self { repository: repository.clone(), key: key.clone(), request };
        hold.say(b"{\"unlock\":false}\n").await?;
        Ok(Some(hold))
    }

    async fn say(&self, line: &'static [u8]) -> Result<(), NodeError> {
        let patience = self.repository.client().await?.patience;
        match self.request.send(Bytes::from_static(line), patience.answer).await? {
            true => Ok(()),
            false => Err(NodeError::Unreachable("the lock there was lost".to_owned())),
        }
    }

    async fn unlock(self) -> Result<(), NodeError> {
        self.say(b"{\"unlock\":true}\n").await?;
        let patience = self.repository.client().await?.patience;
        self.request.end(patience.answer).await?;
        Ok(())
    }
}

#[async_trait]
impl Hold for HttpHold {
    /// Locks once more, and only then gives the earlier lock back: the time counts from the start of a lock.
    async fn renew(&mut self) -> Result<(), NodeError> {
        let (repository, key) = (&self.repository, &self.key);
        let fresh = lock_again(|| Self::take(repository, key)).await?;
        let earlier = std::mem::replace(self, fresh);
        if earlier.request.is_over() {
            tracing::debug!("a lock was lost before another took its place");
        } else if let Err(error) = earlier.unlock().await {
            tracing::debug!("giving back a lock that another has taken the place of: {error}");
        }
        Ok(())
    }

    async fn release(self: Box<Self>) -> Result<(), NodeError> {
        self.unlock().await
    }
}
