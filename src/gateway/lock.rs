//! Locking content against removal.

use annex_protocol::key::Key;
use tokio::sync::Mutex;

use super::{Gateway, GatewayError, Member, Target};
use crate::node::Hold;
use crate::site::hold::Lock;
use crate::task::blocking;

/// A lock held for a client; it outlives this value until its deadline unless it is given back.
pub struct Locked {
    /// What keeps this gateway from removing the content.
    lock: Lock,
    /// What keeps others from removing it from the node.
    hold: Mutex<Box<dyn Hold>>,
    member: Member,
}

impl Gateway {
    /// Locks a key's content at the target; for a cluster, on one node that has it. `None` if it is not there, or is
    /// just being removed.
    pub async fn lock(&self, target: Target, key: &Key) -> Result<Option<Locked>, GatewayError> {
        let mut unknown = None;
        for member in self.members(target) {
            let (site, uuid, locked_key) = (self.0.site.clone(), member.uuid.clone(), key.clone());
            let Some(lock) = blocking(move || site.lock(&uuid, &locked_key)).await? else { continue };
            // Looked at only now: a removal that came before the lock has ended, and none can start.
            match member.node.lock(key).await {
                Ok(Some(hold)) => return Ok(Some(Locked { lock, hold: Mutex::new(hold), member: member.clone() })),
                Ok(None) => {}
                Err(source) => unknown = Some(member.failed(source)),
            }
            self.end_lock(lock).await?;
        }
        unknown.map_or(Ok(None), Err)
    }

    /// Makes a lock last ten minutes from now on.
    pub async fn renew(&self, locked: &Locked) -> Result<(), GatewayError> {
        locked.hold.lock().await.renew().await.map_err(|source| locked.member.failed(source))?;
        let (site, lock) = (self.0.site.clone(), locked.lock.clone());
        Ok(blocking(move || site.renew(&lock)).await?)
    }

    /// Gives a lock back.
    pub async fn unlock(&self, locked: Locked) -> Result<(), GatewayError> {
        let released = locked.hold.into_inner().release().await;
        self.end_lock(locked.lock).await?;
        released.map_err(|source| locked.member.failed(source))
    }

    async fn end_lock(&self, lock: Lock) -> Result<(), GatewayError> {
        let site = self.0.site.clone();
        Ok(blocking(move || site.unlock(&lock)).await?)
    }
}
