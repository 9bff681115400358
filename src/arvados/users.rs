//! The site's users and tokens, as Arvados clients see them. A user's UUID is made from the name.

use annex_gateway::site::user::{Role, User};
use keep_store::base::task::blocking;

use super::{Api, ApiError, Asking};

impl Api {
    /// Returns a user by UUID: oneself, or for an admin anybody.
    pub async fn user(&self, asking: &Asking, uuid: &str) -> Result<User, ApiError> {
        if uuid != asking.viewer.user && !asking.viewer.admin {
            return Err(ApiError::NotFound(format!("{uuid}: not found")));
        }
        self.known_user(uuid).await
    }

    /// Returns a user by UUID, whoever asks.
    pub(super) async fn known_user(&self, uuid: &str) -> Result<User, ApiError> {
        let site = self.site.clone();
        let users = blocking(move || site.users()).await?;
        let found = users.into_iter().find(|user| self.user_uuid(&user.name) == uuid);
        found.ok_or_else(|| ApiError::NotFound(format!("{uuid}: there is no such user")))
    }

    /// Returns a user's UUID.
    pub fn uuid_of(&self, user: &User) -> String {
        self.user_uuid(&user.name)
    }

    /// Tells whether a user may do everything.
    pub fn is_admin(user: &User) -> bool {
        user.role == Role::Admin
    }
}
