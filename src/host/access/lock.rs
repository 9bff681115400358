//! Locks that keep content from being removed while a client needs it.

use std::pin::pin;
use std::time::Duration;

use annex_gateway::gateway::{ErrorKind, Gateway, GatewayError, Locked};
use annex_protocol::key::Key;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::Access;
use crate::host::traffic::{Operation, Outcome, Settled};

/// How often a lock that is held is made to last on.
const RENEW_EVERY: Duration = Duration::from_secs(60);

/// A lock on content, held for a client. Dropped, it stays until its deadline.
pub struct HeldLock {
    gateway: Gateway,
    lock: Locked,
}

impl Access {
    /// Locks a key's content; `None` if it is not there, or is just being removed.
    pub async fn lock(&self, key: &Key) -> Result<Option<HeldLock>, GatewayError> {
        let request = self.scope.request(Operation::Lock, key);
        let locked = self.gateway.lock(self.target, key).await;
        let held = locked.map(|lock| lock.map(|lock| HeldLock { gateway: self.gateway.clone(), lock }));
        request.settle(held)
    }

    /// Locks a key's content under a name by which another connection can keep the lock; `None` as for [`Access::lock`].
    pub async fn lock_by_name(&self, key: &Key) -> Result<Option<String>, GatewayError> {
        let request = self.scope.request(Operation::Lock, key);
        let named = async {
            let Some(lock) = self.gateway.lock(self.target, key).await? else { return Ok(None) };
            self.gateway.name_lock(lock).await.map(Some)
        };
        request.settle(named.await)
    }

    /// Keeps the lock of this name until `ended` says whether it is to be given back; `None` if there is no such lock.
    ///
    /// A lock that is not given back stays until its deadline.
    pub async fn keep_lock<E: std::fmt::Display>(
        &self,
        name: &str,
        ended: impl Future<Output = Result<bool, E>>,
    ) -> Result<Option<Result<(), E>>, GatewayError> {
        let Some((lock, key)) = self.gateway.find_lock(name).await? else { return Ok(None) };
        let request = self.scope.request(Operation::Lock, &key);
        let held = HeldLock { gateway: self.gateway.clone(), lock };
        // It may have waited for this connection for most of its time.
        held.renew().await;
        let ended = held.until(ended).await;
        if matches!(ended, Ok(true)) {
            held.release().await;
            request.end(&Outcome::Done(&[], &[]));
        } else {
            let reason = match &ended {
                Err(error) => format!("the lock stays until its deadline: {error}"),
                Ok(_) => "not given back: the lock stays until its deadline".to_owned(),
            };
            request.end(&Outcome::Failed { kind: ErrorKind::BrokenOff, reason });
        }
        Ok(Some(ended.map(drop)))
    }
}

impl Settled for HeldLock {
    fn outcome(&self) -> Outcome<'_> {
        Outcome::Done(&[], &[])
    }
}

impl HeldLock {
    /// Holds the lock until `ended` is ready, and returns what that gives.
    pub async fn until<T>(&self, ended: impl Future<Output = T>) -> T {
        let mut ended = pin!(ended);
        let mut renewal = interval_at(Instant::now() + RENEW_EVERY, RENEW_EVERY);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ended = &mut ended => return ended,
                _ = renewal.tick() => self.renew().await,
            }
        }
    }

    /// Gives the lock back.
    pub async fn release(self) {
        if let Err(error) = self.gateway.unlock(self.lock).await {
            // It ends by its deadline then; nobody is told anything untrue.
            tracing::warn!("unlocking content: {error}");
        }
    }

    async fn renew(&self) {
        if let Err(error) = self.gateway.renew(&self.lock).await {
            tracing::warn!("making a lock last on: {error}");
        }
    }
}
