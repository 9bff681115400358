//! What may be stored at all: secure hashes, the largest key, the repository's quota.

use std::time::Duration;

use annex_protocol::hash::{Hasher, is_secure};
use annex_protocol::key::Key;
use keep_store::base::task::blocking;
use tokio::time::Instant;

use super::error::QuotaExceeded;
use super::{Gateway, GatewayError, Member};
use crate::site::Site;
use crate::site::room::{Room, Share};

/// Permission to store a key.
pub(super) struct Admission {
    /// The most bytes that the content may have.
    ceiling: Option<u64>,
    room: Option<Box<Reserved>>,
}

/// A reservation of room under the quota and on nodes, for as long as an upload lasts. Dropped, it is given back soon.
struct Reserved {
    site: Site,
    room: Option<Room>,
    renewed: Instant,
}

/// How often the remaining size of an upload is updated; the reservation itself lasts much longer.
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// How often a quota is looked at before an upload is refused.
const QUOTA_LOOKS: usize = 3;

impl Admission {
    /// Allows a key to be stored on these nodes, or says why not.
    pub(super) async fn ask(gateway: &Gateway, key: &Key, nodes: &[Member]) -> Result<Self, GatewayError> {
        check_hash(gateway, key).await?;
        let limits = &gateway.shared.site.config().limits;
        let size = key.content_size();
        if let (Some(size), Some(largest)) = (size, limits.largest_key)
            && size > largest
        {
            return Err(GatewayError::TooLarge { largest });
        }
        let room = match limits.repository_quota {
            Some(quota) => Some(Box::new(reserve(gateway, key, nodes, quota).await?)),
            None => None,
        };
        Ok(Self { ceiling: size.or(limits.largest_key), room })
    }

    /// Allows more copies of a key that is stored already.
    pub(super) fn of_stored(key: &Key) -> Self {
        Self { ceiling: key.content_size(), room: None }
    }

    /// Returns the room that is held.
    pub(super) fn held(&self) -> Option<Room> {
        self.room.as_ref().and_then(|reserved| reserved.room.clone())
    }

    /// Takes this reservation in place of the present one, which it includes.
    pub(super) fn hold(&mut self, site: &Site, room: Room) {
        match &mut self.room {
            Some(reserved) => reserved.room = Some(room),
            None => self.room = Some(Box::new(Reserved::new(site, room))),
        }
    }

    /// Tells whether content of `size` bytes in all may come as far as `position`, and renews its reservation.
    pub(super) async fn allows(&mut self, position: u64, size: u64) -> Result<(), GatewayError> {
        if let Some(largest) = self.ceiling
            && position > largest
        {
            return Err(GatewayError::TooLarge { largest });
        }
        if let Some(reserved) = &mut self.room {
            reserved.renew(size.saturating_sub(position)).await;
        }
        Ok(())
    }

    /// Gives the reservation back. What was stored must be in the location log by now.
    pub(super) async fn end(mut self) {
        if let Some(mut reserved) = self.room.take()
            && let Some(room) = reserved.room.take()
        {
            let site = reserved.site.clone();
            blocking(move || release(&site, &room)).await;
        }
    }
}

/// Refuses keys without a secure hash, if the site or the repository asks for that.
///
/// What is stored already is still served, as by git-annex. A `VURL` key is refused, too: its content could not be
/// verified here.
async fn check_hash(gateway: &Gateway, key: &Key) -> Result<(), GatewayError> {
    if is_secure(key.backend()) && Hasher::for_key(key).is_some() {
        return Ok(());
    }
    let by_site = gateway.shared.site.config().secure_hashes_only;
    let asked = gateway.clone();
    if by_site || blocking(move || asked.shared.placer.secure_hashes_only()).await? {
        let rule = if by_site { "this site" } else { "annex.securehashesonly" };
        let backend = String::from_utf8_lossy(key.backend()).into_owned();
        return Err(GatewayError::InsecureHash { rule, backend });
    }
    Ok(())
}

/// Reserves room for a key on these nodes, if the quota allows it.
async fn reserve(gateway: &Gateway, key: &Key, nodes: &[Member], quota: u64) -> Result<Reserved, GatewayError> {
    let size = key.content_size().ok_or(GatewayError::NoSize)?;
    let (site, gateway, key) = (gateway.shared.site.clone(), gateway.clone(), key.clone());
    let nodes: Vec<Share> = nodes.iter().map(|member| Share::of_quota(member.uuid.clone())).collect();
    let held = move || {
        let needed = size.saturating_mul(nodes.len() as u64);
        let (room, _) = site.hold_room(&gateway.shared.identity.gateway, &key, size, &nodes, None)?;
        let reserved = Reserved::new(&site, room.clone());
        // In this order, an upload that ends in between may be counted twice, never missed. So it is looked at a
        // few times.
        let mut exceeded = QuotaExceeded { quota, used: 0, coming: 0, size, nodes: nodes.len() };
        for _ in 0..QUOTA_LOOKS {
            exceeded.coming = reserved.site.room_before(&room)?;
            exceeded.used = gateway.shared.placer.held_by_all()?;
            if exceeded.used.saturating_add(exceeded.coming).saturating_add(needed) <= quota {
                return Ok(reserved);
            }
        }
        drop(reserved);
        Err(exceeded.into())
    };
    blocking(held).await
}

impl Reserved {
    fn new(site: &Site, room: Room) -> Self {
        Self { site: site.clone(), room: Some(room), renewed: Instant::now() }
    }

    async fn renew(&mut self, rest: u64) {
        if self.renewed.elapsed() < RENEW_EVERY {
            return;
        }
        self.renewed = Instant::now();
        if let Some(room) = self.room.clone() {
            let site = self.site.clone();
            if let Err(error) = blocking(move || site.renew_room(&room, rest)).await {
                tracing::warn!("holding room for an upload: {error}");
            }
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let Some(room) = self.room.take() else { return };
        let site = self.site.clone();
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || release(&site, &room))),
            Err(_) => release(&site, &room),
        }
    }
}

fn release(site: &Site, room: &Room) {
    if let Err(error) = site.release_room(room) {
        // If giving it back fails, it ends by its deadline.
        tracing::warn!("giving back the room of an upload: {error}");
    }
}
