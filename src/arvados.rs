//! What Arvados clients need of an API server: collections, the projects that they are in, and who may see them.
//!
//! Users come with a token of the site. The role that a user has for the whole site says what the user may do at all: `read`
//! fetches what may be seen, `append` makes collections and projects, `write` also changes and trashes them, `admin` does all
//! of it with everybody's. What may be seen is one's own, and what others share by a permission link, for a project with
//! all that is in it. Source: `docs/spec/keep-collections.md` §3 and §4.

use annex_gateway::database::DatabaseError;
use annex_gateway::site::cluster;
use annex_gateway::site::user::Role;
use annex_gateway::site::{Site, SiteError};
use annex_protocol::keep::{ApiTime, ClusterId, ObjectKind};
use keep_store::entries::KeepError;

use crate::arvados::catalogue::{Base, Catalogue, Invalid, Level, List, ListError, Page, Record, Viewer};
use crate::arvados::keep::{Denied, Holder, SiteKeep};

pub mod attributes;
pub mod catalogue;
pub mod collections;
pub mod content;
pub mod json;
pub mod keep;
mod links;
mod projects;
mod replace;
mod sweep;
pub mod users;

use attributes::Attributes;
pub use replace::Replace;

/// The API server of a site. Cloning is cheap.
#[derive(Clone)]
pub struct Api {
    site: Site,
    catalogue: Catalogue,
    keep: SiteKeep,
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Asking {
    /// The token, and whose it is.
    pub holder: Holder,
    /// The same, as the catalogue knows them.
    pub viewer: Viewer,
}

/// Why something is not done.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// There is no token, or none that is good here.
    #[error("{0}")]
    Unauthorized(String),
    /// The caller may not do that.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such thing, or the caller may not know of it.
    #[error("{0}")]
    NotFound(String),
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// Somebody else changed it at the same time, again and again.
    #[error("{0}")]
    Conflict(String),
    /// It cannot be done now.
    #[error("{0}")]
    Busy(String),
    /// It was tried, and failed.
    #[error("{0}")]
    Failed(String),
}

/// How often a change is tried again when another one was made meanwhile.
const TRIES: usize = 5;

impl Api {
    /// Puts the API server of a site together.
    pub fn new(site: Site, catalogue: Catalogue, keep: SiteKeep) -> Self {
        Self { site, catalogue, keep }
    }

    /// Returns the site's Keep.
    pub fn keep(&self) -> &SiteKeep {
        &self.keep
    }

    /// Returns the site's wall clock time, in microseconds since the epoch.
    pub fn now(&self) -> i64 {
        self.site.clock().unix_micros()
    }

    /// Returns the cluster's id.
    pub fn cluster(&self) -> ClusterId {
        self.keep.cluster()
    }

    /// Finds out who shows a token, and whether that is somebody who may do as much as `needed`.
    pub async fn asking(&self, token: Option<Vec<u8>>, needed: Role) -> Result<Asking, ApiError> {
        let holder = self.keep.holder(token, needed).await?;
        let user = self.user_uuid(&holder.owner.token.user);
        let viewer = Viewer { user, admin: holder.owner.role == Role::Admin };
        Ok(Asking { holder, viewer })
    }

    /// Returns a page of a list of what somebody may see.
    pub async fn list<R: Record>(&self, asking: &Asking, list: &List) -> Result<Page<R>, ApiError> {
        Ok(self.catalogue.list(&asking.viewer, list, self.now()).await?)
    }

    /// Returns the record with a UUID if the caller may do `needed` with it.
    ///
    /// What the caller may not see is not found, and neither is what is in the trash, unless that is asked for.
    pub async fn find<R: Record>(
        &self,
        asking: &Asking,
        uuid: &str,
        needed: Level,
        with_trash: bool,
    ) -> Result<R, ApiError> {
        let not_found = || ApiError::NotFound(format!("{uuid}: not found"));
        let now = self.now();
        let record = self.catalogue.get::<R>(uuid).await?.ok_or_else(not_found)?;
        let base = record.base();
        let access = self.catalogue.access(&asking.viewer, uuid, &base.owner, now).await?;
        let trashed = access.hidden || base.is_trashed(now);
        if base.is_gone(now) || access.level < Level::Read || (trashed && !with_trash) {
            return Err(not_found());
        }
        if access.level < needed {
            return Err(ApiError::Forbidden(format!("Permission denied: {uuid} belongs to somebody else")));
        }
        Ok(record)
    }

    /// Changes a record by `edit`, as often as it takes until nothing came between; returns it as it is then.
    async fn change<R: Record>(
        &self,
        asking: &Asking,
        uuid: &str,
        mut edit: impl FnMut(&mut R, i64) -> Result<(), ApiError>,
    ) -> Result<R, ApiError> {
        for _ in 0..TRIES {
            let old: R = self.find(asking, uuid, Level::Write, true).await?;
            let mut new = old.clone();
            let now = self.stamp(asking, &old, &mut new);
            edit(&mut new, now)?;
            match self.catalogue.change(&new, old.base().modified_at).await {
                Ok(()) => return Ok(new),
                Err(DatabaseError::Stale) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(stale(uuid))
    }

    /// Notes who changes a record when; returns the time.
    fn stamp<R: Record>(&self, asking: &Asking, old: &R, new: &mut R) -> i64 {
        let now = self.now().max(old.base().modified_at + 1);
        let base = new.base_mut();
        base.modified_at = now;
        base.modified_by.clone_from(&asking.viewer.user);
        now
    }

    /// Returns what a new record of the caller has in common with others.
    fn new_base(&self, asking: &Asking, kind: ObjectKind) -> Base {
        let now = self.now();
        let user = asking.viewer.user.clone();
        Base {
            uuid: cluster::uuid(self.cluster(), kind.code(), uuid::Uuid::new_v4().as_bytes()),
            owner: user.clone(),
            properties: "{}".to_owned(),
            created_at: now,
            modified_at: now,
            modified_by: user,
            ..Base::default()
        }
    }

    /// Takes name, description and properties over, and the owner if the caller may put something there.
    async fn describe(&self, asking: &Asking, base: &mut Base, attributes: &Attributes) -> Result<(), ApiError> {
        if let Some(name) = attributes.text("name")? {
            base.name = name.filter(|name| !name.is_empty()).map(str::to_owned);
        }
        if let Some(description) = attributes.text("description")? {
            base.description = description.map(str::to_owned);
        }
        if let Some(properties) = attributes.object("properties")? {
            base.properties = properties;
        }
        match attributes.text("owner_uuid")?.flatten() {
            Some(owner) if owner != base.owner => {
                self.check_owner(asking, owner).await?;
                owner.clone_into(&mut base.owner);
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks that the caller may put something into a project, or give it to a user.
    async fn check_owner(&self, asking: &Asking, owner: &str) -> Result<(), ApiError> {
        let kind = ObjectKind::of(owner).filter(|(cluster, _)| *cluster == self.cluster()).map(|(_, kind)| kind);
        match kind {
            Some(ObjectKind::User) if owner == asking.viewer.user => Ok(()),
            Some(ObjectKind::User) if asking.viewer.admin => self.user(asking, owner).await.map(drop),
            Some(ObjectKind::User) => Err(ApiError::Forbidden("Permission denied: that is another user's".to_owned())),
            Some(ObjectKind::Group) => {
                self.find::<crate::arvados::catalogue::Project>(asking, owner, Level::Write, false).await.map(drop)
            }
            _ => Err(ApiError::Invalid(format!("owner_uuid: {owner} is neither a user nor a project of this cluster"))),
        }
    }

    fn user_uuid(&self, name: &str) -> String {
        cluster::uuid(self.cluster(), ObjectKind::User.code(), name.as_bytes())
    }

    /// How long something stays in the trash, in seconds.
    pub fn trash_seconds(&self) -> u64 {
        self.site.config().keep.trash_lifetime.as_secs()
    }

    /// How long something stays in the trash, in microseconds.
    fn trash_lifetime(&self) -> i64 {
        i64::try_from(self.site.config().keep.trash_lifetime.as_micros()).unwrap_or(i64::MAX)
    }
}

/// The name that something gets whose own name is taken.
fn other_name(name: Option<&str>, now: i64) -> String {
    let time = ApiTime::from_micros(now).map(|time| time.to_string()).unwrap_or_default();
    format!("{} ({time})", name.unwrap_or_default())
}

fn stale(uuid: &str) -> ApiError {
    ApiError::Conflict(format!("{uuid}: it was changed by others at the same time; try again"))
}

impl From<DatabaseError> for ApiError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Duplicate => Self::Invalid("name: something of the same owner has it already".to_owned()),
            DatabaseError::Stale => Self::Conflict(error.to_string()),
            DatabaseError::Unreachable { .. } => Self::Busy(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<ListError> for ApiError {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Invalid(error) => error.into(),
            ListError::Database(error) => error.into(),
        }
    }
}

impl From<Invalid> for ApiError {
    fn from(error: Invalid) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<Denied> for ApiError {
    fn from(error: Denied) -> Self {
        match error {
            Denied::Missing | Denied::Unknown => Self::Unauthorized(format!("Not logged in: {error}")),
            Denied::Role { .. } => Self::Forbidden(format!("Permission denied: {error}")),
            Denied::Site(error) => Self::Failed(error.to_string()),
        }
    }
}

impl From<KeepError> for ApiError {
    fn from(error: KeepError) -> Self {
        Self::Busy(error.to_string())
    }
}

impl From<SiteError> for ApiError {
    fn from(error: SiteError) -> Self {
        Self::Failed(error.to_string())
    }
}
