//! Permission links: who owns something lets others see or change it.

use annex_protocol::keep::ObjectKind;

use super::attributes::Attributes;
use super::{Api, ApiError, Asking};
use crate::arvados::catalogue::{Collection, Level, Link, Project};

/// The only class of links that there is here.
const CLASS: &str = "permission";

/// The group that everybody is in.
const EVERYBODY: &str = "j7d0g-fffffffffffffff";

impl Api {
    /// Lets somebody (a user, or the group of everybody) see or change a project or a collection. For who may manage that.
    pub async fn create_link(&self, asking: &Asking, attributes: &Attributes) -> Result<Link, ApiError> {
        let text = |name: &str| Ok::<_, ApiError>(attributes.text(name)?.flatten().unwrap_or_default().to_owned());
        let (class, name, tail, head) = (text("link_class")?, text("name")?, text("tail_uuid")?, text("head_uuid")?);
        if class != CLASS {
            return Err(ApiError::Invalid(format!("link_class: this cluster has links of the class {CLASS} only")));
        }
        if Level::parse(&name).is_none() {
            return Err(ApiError::Invalid("name: this should be can_read, can_write or can_manage".to_owned()));
        }
        if tail != format!("{}-{EVERYBODY}", self.cluster()) {
            self.known_user(&tail).await?;
        }
        if self.level_of(asking, &head).await? < Level::Manage {
            return Err(ApiError::Forbidden(format!("Permission denied: {head} is not yours to share")));
        }
        let mut base = self.new_base(asking, ObjectKind::Link);
        base.name = Some(name);
        if let Some(properties) = attributes.object("properties")? {
            base.properties = properties;
        }
        let link = Link { base, class, tail, head };
        self.catalogue.add(&link).await?;
        Ok(link)
    }

    /// Takes a link away: for who made it, or may manage what it is about.
    pub async fn delete_link(&self, asking: &Asking, uuid: &str) -> Result<Link, ApiError> {
        let link = self.find_link(asking, uuid).await?;
        if link.base.owner != asking.viewer.user && self.level_of(asking, &link.head).await? < Level::Manage {
            return Err(ApiError::Forbidden(format!("Permission denied: {uuid} is somebody else's")));
        }
        self.catalogue.remove::<Link>(uuid, link.base.modified_at).await?;
        Ok(link)
    }

    /// Returns a link that the caller made, that is for the caller, or about something that the caller may manage.
    pub async fn find_link(&self, asking: &Asking, uuid: &str) -> Result<Link, ApiError> {
        let not_found = || ApiError::NotFound(format!("{uuid}: not found"));
        let link: Link = self.catalogue.get(uuid).await?.ok_or_else(not_found)?;
        let own = [&link.base.owner, &link.tail].contains(&&asking.viewer.user);
        if own || self.level_of(asking, &link.head).await? == Level::Manage { Ok(link) } else { Err(not_found()) }
    }

    /// Returns what the caller may do with a project or a collection; an error if it is neither, or not to be seen.
    async fn level_of(&self, asking: &Asking, uuid: &str) -> Result<Level, ApiError> {
        let owner = match ObjectKind::of(uuid).map(|(_, kind)| kind) {
            Some(ObjectKind::Collection) => self.find::<Collection>(asking, uuid, Level::Read, true).await?.base.owner,
            Some(ObjectKind::Group) => self.find::<Project>(asking, uuid, Level::Read, true).await?.base.owner,
            _ => return Err(ApiError::Invalid(format!("{uuid}: this should be a project or a collection"))),
        };
        Ok(self.catalogue.access(&asking.viewer, uuid, &owner, self.now()).await?.level)
    }
}
