//! Collections: made, found by UUID or by their hash, changed, trashed and brought back.

use std::collections::BTreeSet;

use annex_gateway::database::DatabaseError;
use annex_protocol::keep::{Locator, ObjectKind};
use serde_json::Value;

use super::attributes::Attributes;
use super::content::blocks_of;
use super::replace::Replace;
use super::{Api, ApiError, Asking, TRIES, other_name, stale};
use crate::arvados::catalogue::{Collection, Filter, Level, List, Record};

/// How something is made or changed, beside what it becomes.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// If the name is taken, the time is put behind it, instead of refusing the request.
    pub ensure_unique_name: bool,
    /// Paths of a collection, and what is put there.
    pub replace_files: Option<Replace>,
}

/// What may still be changed of something in the trash.
const OF_TRASH: [&str; 3] = ["trash_at", "delete_at", "is_trashed"];

impl Api {
    /// Makes a collection.
    pub async fn create_collection(
        &self,
        asking: &Asking,
        attributes: &Attributes,
        options: &Options,
    ) -> Result<Collection, ApiError> {
        let base = self.new_base(asking, ObjectKind::Collection);
        let mut new =
            Collection { base, storage_classes_desired: "[]".to_owned(), version: 1, ..Collection::default() };
        self.describe(asking, &mut new.base, attributes).await?;
        self.describe_collection(&mut new, attributes)?;
        let text = attributes.text("manifest_text")?.flatten().unwrap_or_default().to_owned();
        let given = self.accept(asking, text, BTreeSet::new()).await?;
        let content = match &options.replace_files {
            Some(replace) => self.replaced(asking, "", Some(given), replace).await?,
            None => given,
        };
        check_hash(attributes, &content.hash)?;
        let referred = content.clone();
        content.put_in(&mut new);
        self.refer(&new.reference, &referred).await?;
        let name = new.base.name.clone();
        for attempt in 0.. {
            match self.catalogue.add(&new).await {
                Ok(()) => return Ok(new),
                Err(DatabaseError::Duplicate) if options.ensure_unique_name && attempt < TRIES => {
                    new.base.name = Some(other_name(name.as_deref(), self.now()));
                }
                Err(error) => {
                    self.unless_it_happened(&new.reference, &error).await;
                    return Err(error.into());
                }
            }
        }
        Err(stale(&new.base.uuid))
    }

    /// Returns a collection by its UUID, or by its portable data hash: then one of those that the caller may read, one that
    /// is not going to be trashed if there is one, the latest of them.
    pub async fn collection(&self, asking: &Asking, id: &str, with_trash: bool) -> Result<Collection, ApiError> {
        let Some(hash) = as_hash(id) else {
            return self.find(asking, id, Level::Read, with_trash).await;
        };
        for trash in ["=", "!="] {
            let conditions =
                [("portable_data_hash", "=", Value::from(hash.as_str())), ("trash_at", trash, Value::Null)];
            let filter = |(field, operator, operand): &(&str, &str, Value)| Filter {
                field: (*field).to_owned(),
                operator: (*operator).to_owned(),
                operand: operand.clone(),
            };
            let filters = conditions.iter().map(filter).collect();
            let list = List { filters, limit: 1, include_trash: with_trash, whole: true, ..List::default() };
            if let Some(found) = self.list(asking, &list).await?.items.pop() {
                return Ok(found);
            }
        }
        Err(ApiError::NotFound(format!("{id}: not found")))
    }

    /// Changes a collection.
    pub async fn update_collection(
        &self,
        asking: &Asking,
        uuid: &str,
        attributes: &Attributes,
        options: &Options,
    ) -> Result<Collection, ApiError> {
        let mut taken = false;
        for _ in 0..TRIES {
            let old: Collection = self.find(asking, uuid, Level::Write, true).await?;
            let mut new = old.clone();
            let now = self.stamp(asking, &old, &mut new);
            if old.base.is_trashed(now) && !attributes.only(&OF_TRASH) {
                return Err(ApiError::Invalid(format!("{uuid} is in the trash: it can only be brought back")));
            }
            self.describe(asking, &mut new.base, attributes).await?;
            self.describe_collection(&mut new, attributes)?;
            if new.base.owner != old.base.owner {
                self.find::<Collection>(asking, uuid, Level::Manage, true).await?;
            }
            if taken {
                new.base.name = Some(other_name(new.base.name.as_deref(), now));
            }
            let text = attributes.text("manifest_text")?.flatten().map(str::to_owned);
            let changed = self.replace_content(asking, &old, &mut new, (text, options)).await?;
            check_hash(attributes, &new.portable_data_hash)?;
            match self.catalogue.change(&new, old.base.modified_at).await {
                Ok(()) => {
                    if changed {
                        self.release(&old.reference).await;
                    }
                    return Ok(new);
                }
                Err(error) => {
                    if changed {
                        self.unless_it_happened(&new.reference, &error).await;
                    }
                    match error {
                        DatabaseError::Stale => {}
                        DatabaseError::Duplicate if options.ensure_unique_name => taken = true,
                        error => return Err(error.into()),
                    }
                }
            }
        }
        Err(stale(uuid))
    }

    /// Trashes a collection, or brings one back from the trash.
    pub async fn trash_collection(&self, asking: &Asking, uuid: &str, away: bool) -> Result<Collection, ApiError> {
        let lifetime = self.trash_lifetime();
        self.change(asking, uuid, |collection: &mut Collection, now| {
            let base = collection.base_mut();
            if away && !base.is_trashed(now) {
                (base.trash_at, base.delete_at) = (Some(now), Some(now.saturating_add(lifetime)));
            } else if !away {
                (base.trash_at, base.delete_at) = (None, None);
            }
            Ok(())
        })
        .await
    }

    /// Takes over what only collections have, but their content.
    fn describe_collection(&self, collection: &mut Collection, attributes: &Attributes) -> Result<(), ApiError> {
        if let Some(replication) = attributes.integer("replication_desired")? {
            if replication.is_some_and(|copies| copies < 1) {
                return Err(ApiError::Invalid("replication_desired: this should be at least 1".to_owned()));
            }
            collection.replication_desired = replication;
        }
        if let Some(classes) = attributes.list("storage_classes_desired")? {
            collection.storage_classes_desired = classes;
        }
        if let Some(preserve) = attributes.flag("preserve_version")? {
            collection.preserve_version = preserve;
        }
        let base = &mut collection.base;
        let (trash, delete) = (attributes.time("trash_at")?, attributes.time("delete_at")?);
        if let Some(trash_at) = trash {
            // Nothing is trashed in the past.
            base.trash_at = trash_at.map(|at| at.max(base.modified_at));
            base.delete_at = base.trash_at.map(|at| at.saturating_add(self.trash_lifetime()));
        }
        if let Some(Some(delete_at)) = delete {
            let trash_at = *base.trash_at.get_or_insert(delete_at.max(base.modified_at));
            base.delete_at = Some(delete_at.max(trash_at));
        }
        Ok(())
    }

    /// Gives a collection another content, which the stores keep from then on; false if it is the one it had.
    async fn replace_content(
        &self,
        asking: &Asking,
        old: &Collection,
        new: &mut Collection,
        (text, options): (Option<String>, &Options),
    ) -> Result<bool, ApiError> {
        let given = match text {
            Some(text) => Some(self.accept(asking, text, blocks_of(old)).await?),
            None => None,
        };
        let content = match &options.replace_files {
            Some(replace) => Some(self.replaced(asking, &old.manifest, given, replace).await?),
            None => given,
        };
        let Some(content) = content.filter(|content| content.text != old.manifest) else { return Ok(false) };
        let referred = content.clone();
        content.put_in(new);
        new.version += 1;
        self.refer(&new.reference, &referred).await?;
        Ok(true)
    }

    /// Lets the blocks go of what was not recorded; if that is unknown, the daemon finds out later.
    async fn unless_it_happened(&self, reference: &str, error: &DatabaseError) {
        if !matches!(error, DatabaseError::Unreachable { .. }) {
            self.release(reference).await;
        }
    }
}

/// Returns the portable data hash that an identifier is, without hints.
fn as_hash(id: &str) -> Option<String> {
    let locator = Locator::parse(id.as_bytes()).ok()?;
    Some(locator.stripped().to_string())
}

/// A client may say which hash it expects. Its length counts for nothing, as upstream has it.
fn check_hash(attributes: &Attributes, hash: &str) -> Result<(), ApiError> {
    let Some(Some(expected)) = attributes.text("portable_data_hash")? else { return Ok(()) };
    if expected.split('+').next() == hash.split('+').next() {
        return Ok(());
    }
    Err(ApiError::Invalid(format!("portable_data_hash: {expected} is not that of the manifest, {hash}")))
}
