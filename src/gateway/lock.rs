//! Locking content against removal.

use annex_protocol::key::Key;

use super::{Gateway, GatewayError, Target};
use crate::site::hold::Lock;
use crate::task::blocking;

/// A lock held for a client; it outlives this value until its deadline unless it is given back.
#[derive(Debug)]
pub struct Locked(Lock);

impl Gateway {
    /// Locks a key's content at the target; for a cluster, on one node that has it. `None` if it is not there, or is
    /// just being removed.
    pub async fn lock(&self, target: Target, key: &Key) -> Result<Option<Locked>, GatewayError> {
        let mut unknown = None;
        for member in self.members(target) {
            let (site, uuid, locked_key) = (self.0.site.clone(), member.uuid.clone(), key.clone());
            let Some(lock) = blocking(move || site.lock(&uuid, &locked_key)).await? else { continue };
            // Looked at only now: a removal that came before the lock has ended, and none can start.
            match member.present(key).await {
                Ok(true) => return Ok(Some(Locked(lock))),
                Ok(false) => {}
                Err(source) => unknown = Some(member.failed(source)),
            }
            self.unlock(Locked(lock)).await?;
        }
        unknown.map_or(Ok(None), Err)
    }

    /// Gives a lock a name that nobody can guess, and returns it: another connection finds the lock by that.
    pub async fn name_lock(&self, Locked(lock): &Locked) -> Result<String, GatewayError> {
        let name = uuid::Uuid::new_v4().to_string();
        let (site, lock, named) = (self.0.site.clone(), lock.clone(), name.clone());
        blocking(move || site.name_lock(&lock, &named)).await?;
        Ok(name)
    }

    /// Returns the lock of this name and the key that it keeps, if it still holds; of any repository of the site.
    pub async fn find_lock(&self, name: &str) -> Result<Option<(Locked, Key)>, GatewayError> {
        let (site, name) = (self.0.site.clone(), name.to_owned());
        let found = blocking(move || site.find_lock(&name)).await?;
        Ok(found.map(|(lock, key)| (Locked(lock), key)))
    }

    /// Makes a lock last ten minutes from now on.
    pub async fn renew(&self, Locked(lock): &Locked) -> Result<(), GatewayError> {
        let (site, lock) = (self.0.site.clone(), lock.clone());
        Ok(blocking(move || site.renew(&lock)).await?)
    }

    /// Gives a lock back.
    pub async fn unlock(&self, Locked(lock): Locked) -> Result<(), GatewayError> {
        let site = self.0.site.clone();
        Ok(blocking(move || site.unlock(&lock)).await?)
    }
}
