//! Locking content against removal.

use std::collections::HashMap;
use std::sync::PoisonError;

use annex_protocol::key::Key;
use keep_store::base::task::blocking;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::choose::silent_last;
use super::{Gateway, GatewayError, Member, Target};
use crate::lock_time::LOCKED;
use crate::node::Hold;
use crate::node::deadline::answered;
use crate::site::hold::Lock;

/// A lock held for a client. Dropping this value does not end it: it lasts until its deadline, or until it is given back.
pub struct Locked {
    /// What keeps this gateway from removing the content.
    lock: Lock,
    /// What keeps others from removing it from the node. `None` if another process took the lock: that one has it.
    hold: Option<(Member, Mutex<Box<dyn Hold>>)>,
}

/// Locks that wait for the connection which keeps them, by name.
pub(super) type Waiting = std::sync::Mutex<HashMap<String, (Instant, Locked)>>;

impl Gateway {
    /// Locks a key's content at the target; for a cluster, on one node that has it. `None` if it is not there, or is
    /// just being removed.
    pub async fn lock(&self, target: Target, key: &Key) -> Result<Option<Locked>, GatewayError> {
        let mut unknown = None;
        for member in silent_last(self.members(target)) {
            let (site, uuid, locked_key) = (self.shared.site.clone(), member.uuid.clone(), key.clone());
            let Some(lock) = blocking(move || site.lock(&uuid, &locked_key)).await? else { continue };
            // Presence is looked at after the lock was taken: removals before it have ended, and none can start now.
            match member.node.lock(key).await {
                Ok(Some(hold)) => return Ok(Some(Locked { lock, hold: Some((member.clone(), Mutex::new(hold))) })),
                Ok(None) => {}
                Err(source) => unknown = Some(member.failed(source)),
            }
            self.end_lock(lock).await?;
        }
        unknown.map_or(Ok(None), Err)
    }

    /// Gives a lock a name that nobody can guess, and returns it: another connection finds the lock by that.
    pub async fn name_lock(&self, locked: Locked) -> Result<String, GatewayError> {
        let name = uuid::Uuid::new_v4().to_string();
        let (site, lock, named) = (self.shared.site.clone(), locked.lock.clone(), name.clone());
        if let Err(error) = blocking(move || site.name_lock(&lock, &named)).await {
            self.unlock(locked).await?;
            return Err(error.into());
        }
        let mut waiting = self.shared.waiting_locks.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, (since, _)| since.elapsed() < LOCKED);
        waiting.insert(name.clone(), (Instant::now(), locked));
        Ok(name)
    }

    /// Returns the lock of this name and the key that it keeps, if it still holds; of any repository of the site.
    pub async fn find_lock(&self, name: &str) -> Result<Option<(Locked, Key)>, GatewayError> {
        let waiting = self.shared.waiting_locks.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        let (site, name) = (self.shared.site.clone(), name.to_owned());
        let found = blocking(move || site.find_lock(&name)).await?;
        Ok(found.map(|(lock, key)| {
            let hold = waiting.and_then(|(_, locked)| locked.hold);
            (Locked { lock, hold }, key)
        }))
    }

    /// Renews a lock: it lasts [`LOCKED`] from now on. An error if it has ended, or if the node does not renew its own: then
    /// this gateway keeps the content all the same, and others may not.
    pub async fn renew(&self, locked: &Locked) -> Result<(), GatewayError> {
        let (site, lock) = (self.shared.site.clone(), locked.lock.clone());
        if !blocking(move || site.renew(&lock)).await? {
            return Err(GatewayError::LockEnded);
        }
        if let Some((member, hold)) = &locked.hold {
            let renewed = answered(member.patience.answer, async { hold.lock().await.renew().await });
            renewed.await.map_err(|source| member.failed(source))?;
        }
        Ok(())
    }

    /// Gives a lock back.
    pub async fn unlock(&self, locked: Locked) -> Result<(), GatewayError> {
        let released = match locked.hold {
            Some((member, hold)) => {
                let released = answered(member.patience.answer, hold.into_inner().release());
                released.await.map_err(|source| member.failed(source))
            }
            None => Ok(()),
        };
        // The gateway's lock is given back even if the node cannot give its own back; that one ends by its deadline.
        self.end_lock(locked.lock).await?;
        released
    }

    async fn end_lock(&self, lock: Lock) -> Result<(), GatewayError> {
        let site = self.shared.site.clone();
        Ok(blocking(move || site.unlock(&lock)).await?)
    }
}
