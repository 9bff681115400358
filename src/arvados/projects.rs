//! Projects: what collections and other projects are in.
//!
//! A project in the trash hides all that is in it, and stays until it is brought back.

use annex_gateway::database::DatabaseError;
use annex_protocol::keep::ObjectKind;

use super::attributes::Attributes;
use super::collections::Options;
use super::{Api, ApiError, Asking, TRIES, other_name, stale};
use crate::arvados::catalogue::{Level, Project, Record};

/// The only class of groups that there is here.
const CLASS: &str = "project";

impl Api {
    /// Makes a project.
    pub async fn create_project(
        &self,
        asking: &Asking,
        attributes: &Attributes,
        options: &Options,
    ) -> Result<Project, ApiError> {
        if attributes.text("group_class")?.flatten().is_some_and(|class| class != CLASS) {
            return Err(ApiError::Invalid(format!("group_class: this cluster has groups of the class {CLASS} only")));
        }
        let base = self.new_base(asking, ObjectKind::Group);
        let mut new = Project { base, group_class: CLASS.to_owned() };
        self.describe(asking, &mut new.base, attributes).await?;
        let name = new.base.name.clone();
        if name.is_none() {
            return Err(ApiError::Invalid("name: a project has one".to_owned()));
        }
        for attempt in 0.. {
            match self.catalogue.add(&new).await {
                Ok(()) => return Ok(new),
                Err(DatabaseError::Duplicate) if options.ensure_unique_name && attempt < TRIES => {
                    new.base.name = Some(other_name(name.as_deref(), self.now()));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(stale(&new.base.uuid))
    }

    /// Changes a project.
    pub async fn update_project(
        &self,
        asking: &Asking,
        uuid: &str,
        attributes: &Attributes,
    ) -> Result<Project, ApiError> {
        let old: Project = self.find(asking, uuid, Level::Write, true).await?;
        let mut described = old.clone();
        self.describe(asking, &mut described.base, attributes).await?;
        let owner = &described.base.owner;
        if *owner != old.base.owner {
            self.find::<Project>(asking, uuid, Level::Manage, true).await?;
            if self.catalogue.is_within(owner, uuid).await? {
                return Err(ApiError::Invalid(format!("owner_uuid: {owner} is inside {uuid}")));
            }
        }
        let trash_at = attributes.time("trash_at")?;
        let trashed = attributes.flag("is_trashed")?;
        self.change(asking, uuid, |project: &mut Project, now| {
            let base = project.base_mut();
            let asked = described.base.clone();
            (base.name, base.description) = (asked.name, asked.description);
            (base.properties, base.owner) = (asked.properties, asked.owner);
            match (trash_at, trashed) {
                (Some(at), _) => base.trash_at = at.map(|at| at.max(now)),
                (None, Some(true)) => base.trash_at = Some(now),
                (None, Some(false)) => base.trash_at = None,
                (None, None) => {}
            }
            Ok(())
        })
        .await
    }

    /// Trashes a project with all that is in it, or brings it back.
    pub async fn trash_project(&self, asking: &Asking, uuid: &str, away: bool) -> Result<Project, ApiError> {
        self.change(asking, uuid, |project: &mut Project, now| {
            let base = project.base_mut();
            if !(away && base.is_trashed(now)) {
                base.trash_at = away.then_some(now);
            }
            Ok(())
        })
        .await
    }
}
