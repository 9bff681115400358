//! The site's Keep: its Keep stores as one service, and what the site's users may do there.
//!
//! Users come with tokens of the site, as Arvados clients present them. Roles hold for the whole site: who may read may
//! fetch blocks (with a signature made for the same token), who may append may store them, an admin may do what a cluster's
//! root does: list, touch, trash, pull.

use std::sync::Arc;

use annex_gateway::site::secret::TokenOwner;
use annex_gateway::site::user::Role;
use annex_gateway::site::{Site, SiteError};
use annex_protocol::keep::{ClusterId, Locator};
use keep_store::base::clock::SystemClock;
use keep_store::base::task::blocking;
use keep_store::service::{KeepService, Mount, Settings};

/// The Keep of a site. Cloning is cheap.
#[derive(Clone)]
pub struct SiteKeep {
    site: Site,
    service: KeepService,
}

/// Somebody who came with a token of the site.
#[derive(Debug, Clone)]
pub struct Holder {
    /// The token exactly as it was presented: signatures are made for this text.
    pub token: Arc<[u8]>,
    /// Whose token it is.
    pub owner: TokenOwner,
}

/// Why somebody may not do something.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// There is no token.
    #[error("no token provided in Authorization header")]
    Missing,
    /// The token is none of this site, or has ended.
    #[error("the token is not valid here")]
    Unknown,
    /// The token's user may do less.
    #[error("{user} may not do that: the role is {role}, and {needed} is needed; an admin of this site can allow it")]
    Role {
        /// Who it is.
        user: String,
        /// What the user is.
        role: Role,
        /// What would be enough.
        needed: Role,
    },
    /// It could not be found out.
    #[error(transparent)]
    Site(#[from] SiteError),
}

impl SiteKeep {
    /// Makes the Keep of a site out of its stores. Blocks.
    pub fn new(site: &Site, mounts: Vec<Mount>) -> Result<Self, SiteError> {
        let config = &site.config().keep;
        let (cluster, key) = (site.cluster()?, site.signing_key()?);
        let clock = SystemClock::shared();
        let settings = Settings { cluster, key, lifetime: config.signature_lifetime, memory: config.memory, clock };
        Ok(Self { site: site.clone(), service: KeepService::new(mounts, &settings) })
    }

    /// Returns the service itself, which asks nobody for a token.
    pub fn service(&self) -> &KeepService {
        &self.service
    }

    /// Returns the cluster's id.
    pub fn cluster(&self) -> ClusterId {
        self.service.cluster()
    }

    /// Finds out whose token it is, and whether that is enough.
    pub async fn holder(&self, token: Option<Vec<u8>>, needed: Role) -> Result<Holder, Denied> {
        let token = token.ok_or(Denied::Missing)?;
        let (site, asked) = (self.site.clone(), token.clone());
        let owner = blocking(move || site.token_owner(&asked)).await?.ok_or(Denied::Unknown)?;
        if owner.role < needed {
            return Err(Denied::Role { user: owner.token.user, role: owner.role, needed });
        }
        Ok(Holder { token: token.into(), owner })
    }

    /// Signs a locator for somebody, until the end of the token at the latest.
    pub fn sign(&self, locator: &Locator, holder: &Holder) -> Locator {
        self.service.sign(locator, &holder.token, holder.owner.token.expires)
    }
}
