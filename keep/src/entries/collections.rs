//! Files in collections of an Arvados cluster: what keeps blocks alive there, and where people find them.
//!
//! Many processes on many machines record and remove files at once, and an API server offers no update that depends on
//! what was there before. So the order of steps makes sure that nothing recorded is ever lost:
//!
//! * A collection only ever loses files once it is there. What is new comes in a new collection.
//! * Collections are folded into larger ones as new ones come: first the new one is there, then the old ones go. There
//!   are about as many as the number of files has binary digits.
//! * A removal takes the file out of each collection that has it, and looks again until none has it.
//!
//! Whatever runs beside a removal can at worst bring the file back, never lose one.
//!
//! A [`Layout::Tree`] is one collection that is changed in place, since its paths are meant to be looked at: it has one writer
//! at a time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use annex_protocol::keep::Locator;
use async_trait::async_trait;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::file::Extent;
use crate::store::servers::{Api, ApiError, Renew, ServerStore};
use crate::store::{Block, SignedLocators};

mod manifest;
mod waiting;

use waiting::Waiting;

/// The collections that together hold the files of one owner.
pub struct Collections {
    api: Arc<Api>,
    blocks: ServerStore,
    options: CollectionsOptions,
    /// What waits to be recorded by whoever comes first.
    coming: Waiting,
    /// What waits to be removed in the same way.
    going: Waiting,
    known: Mutex<Known>,
}

/// Which collections they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionsOptions {
    /// The project that they are in; `None`: the user's own.
    pub project: Option<String>,
    /// What their names begin with; nobody else's may.
    pub label: String,
    /// What they say of themselves.
    pub description: String,
    /// How files are divided among them.
    pub layout: Layout,
}

/// How files are divided among collections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Few collections, each with many files.
    Folded,
    /// One for each file.
    Single,
    /// One for all of them, with one writer at a time.
    Tree,
}

/// Files by path.
pub type Files = BTreeMap<Vec<u8>, Vec<Extent>>;

#[derive(Default)]
struct Known {
    /// The cluster was asked at least once.
    looked: bool,
    /// When the last completed look began.
    as_of: Option<Instant>,
    project: Option<String>,
    collections: HashMap<String, Collection>,
}

/// A collection as it was read last.
struct Collection {
    hash: String,
    files: Files,
}

#[derive(Deserialize)]
struct Record {
    uuid: String,
    portable_data_hash: String,
    #[serde(default)]
    manifest_text: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Record>,
}

#[derive(Deserialize)]
struct User {
    uuid: String,
}

const COLLECTIONS: &str = "arvados/v1/collections";
/// Collections listed by one request.
const PAGE: usize = 500;
/// How often a removal looks again.
const LOOKS: u32 = 10;
/// How much longer each look waits than the one before.
const LOOK_LATER_BY: Duration = Duration::from_millis(50);

impl Collections {
    /// Makes the port to collections; nothing is asked yet.
    pub fn new(api: Arc<Api>, blocks: ServerStore, options: CollectionsOptions) -> Arc<Self> {
        let (coming, going, known) = Default::default();
        let made = Arc::new(Self { api, blocks, options, coming, going, known });
        made.blocks.renew_by(&(Arc::clone(&made) as Arc<dyn Renew>));
        made
    }

    /// Returns a file; with `fresh`, as the cluster has it now, otherwise perhaps as it had it before.
    ///
    /// Those who ask at the same time share a look at the cluster, if it began after they asked.
    pub async fn find(&self, path: &[u8], fresh: bool) -> Result<Option<Vec<Extent>>, ApiError> {
        let asked = Instant::now();
        let mut known = self.known.lock().await;
        if !fresh && let Some(extents) = known.find(path) {
            return Ok(Some(extents.clone()));
        }
        if known.as_of.is_none_or(|looked| looked < asked) {
            self.look(&mut known).await?;
        }
        Ok(known.find(path).cloned())
    }

    /// Fails unless the cluster answers and takes the token.
    pub async fn reach(&self) -> Result<(), ApiError> {
        self.user().await.map(drop)
    }

    /// Returns the UUIDs of the collections that have a file, as they were when they were last looked at.
    ///
    /// A cluster that cannot be asked knows of none.
    pub async fn holders(&self, path: &[u8]) -> Vec<String> {
        let mut known = self.known.lock().await;
        if !known.looked
            && let Err(error) = self.look(&mut known).await
        {
            tracing::debug!("collections cannot be looked at: {error}");
        }
        // The caller only wants information, and wants it at once when the cluster is away: one try is enough.
        known.looked = true;
        let holders = known.collections.iter().filter(|(_, collection)| collection.files.contains_key(path));
        holders.map(|(uuid, _)| uuid.clone()).collect()
    }

    /// Records a file; when this returns, a collection refers to its blocks.
    ///
    /// Files that are recorded at the same time share the requests.
    pub async fn record(&self, path: &[u8], extents: Vec<Extent>) -> Result<(), ApiError> {
        let ticket = self.coming.add(path, extents.clone());
        let mut known = self.known.lock().await;
        match ticket.take_all() {
            Some(all) => self.commit(&mut known, all).await,
            // Somebody recorded it together with others, or failed to.
            None if known.find(path) == Some(&extents) => Ok(()),
            None => self.commit(&mut known, Files::from([(path.to_vec(), extents)])).await,
        }
    }

    /// Removes a file from all collections; whether it was there makes no difference.
    ///
    /// Files that are removed at the same time share the requests.
    pub async fn remove(&self, path: &[u8]) -> Result<(), ApiError> {
        let asked = Instant::now();
        let ticket = self.going.add(path, Vec::new());
        let mut known = self.known.lock().await;
        match ticket.take_all() {
            Some(all) => self.take_out(&mut known, &all).await,
            // Somebody removed it together with others, and has looked since whether it is gone; or failed to.
            None if known.as_of.is_some_and(|looked| looked > asked) && known.find(path).is_none() => Ok(()),
            None => self.take_out(&mut known, &Files::from([(path.to_vec(), Vec::new())])).await,
        }
    }

    /// Takes files out of all collections.
    async fn take_out(&self, known: &mut Known, gone: &Files) -> Result<(), ApiError> {
        let has_any = |collection: &Collection| gone.keys().any(|path| collection.files.contains_key(path));
        for look in 0..LOOKS {
            // Others who fold collections at the same time need a moment to end.
            tokio::time::sleep(LOOK_LATER_BY * look).await;
            self.look(known).await?;
            let holders = known.collections.iter().filter(|(_, collection)| has_any(collection));
            let holders: Vec<String> = holders.map(|(uuid, _)| uuid.clone()).collect();
            if holders.is_empty() {
                return Ok(());
            }
            for uuid in holders {
                let Some(collection) = known.collections.get(&uuid) else { continue };
                let mut files = collection.files.clone();
                files.retain(|path, _| !gone.contains_key(path));
                if files.is_empty() {
                    self.delete(&uuid).await?;
                    known.collections.remove(&uuid);
                    continue;
                }
                if let Err(error) = self.change(known, &uuid, files).await {
                    // Perhaps it was folded into another one meanwhile: then the next look finds the file there.
                    self.look(known).await?;
                    if known.collections.contains_key(&uuid) {
                        return Err(error);
                    }
                }
            }
        }
        let names: Vec<_> = gone.keys().map(|path| String::from_utf8_lossy(path)).collect();
        let reason = format!(
            "these files come back after each removal, since others change the collections at the same time: {}",
            names.join(", ")
        );
        Err(ApiError::Failed { server: self.api.base().to_owned(), reason })
    }

    /// Gives a file of a tree another path; false when it is not there.
    pub async fn rename(&self, from: &[u8], to: &[u8]) -> Result<bool, ApiError> {
        let mut known = self.known.lock().await;
        self.look(&mut known).await?;
        let holder = known.collections.iter().find(|(_, collection)| collection.files.contains_key(from));
        let Some((uuid, collection)) = holder else { return Ok(false) };
        let (uuid, mut files) = (uuid.clone(), collection.files.clone());
        if let Some(extents) = files.remove(from) {
            files.insert(to.to_vec(), extents);
        }
        self.change(&mut known, &uuid, files).await?;
        Ok(true)
    }

    /// Returns the files of any collection that the user may read, by UUID or portable data hash; `None` if there is none.
    pub async fn open(&self, reference: &str) -> Result<Option<Files>, ApiError> {
        match self.read(reference).await {
            Ok(record) => self.files_of(&record).map(Some),
            Err(ApiError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Brings what is known up to date.
    async fn look(&self, known: &mut Known) -> Result<(), ApiError> {
        let begun = Instant::now();
        let project = self.project(known).await?;
        let mut listed = HashMap::new();
        let mut after = String::new();
        loop {
            let filters = json!([
                ["owner_uuid", "=", project],
                ["name", "like", format!("{} %", self.options.label)],
                ["uuid", ">", after],
            ]);
            let (filters, limit) = (filters.to_string(), PAGE.to_string());
            let query = [
                ("filters", filters.as_str()),
                ("select", r#"["uuid","portable_data_hash"]"#),
                ("order", "uuid asc"),
                ("limit", limit.as_str()),
                ("count", "none"),
            ];
            let page: Page = self.api.get(COLLECTIONS, &query).await?;
            let full = page.items.len() == PAGE;
            after = page.items.last().map(|record| record.uuid.clone()).unwrap_or_default();
            listed.extend(page.items.into_iter().map(|record| (record.uuid, record.portable_data_hash)));
            if !full {
                break;
            }
        }
        known.looked = true;
        known.collections.retain(|uuid, _| listed.contains_key(uuid));
        for (uuid, hash) in listed {
            if known.collections.get(&uuid).is_some_and(|collection| collection.hash == hash) {
                continue;
            }
            match self.read(&uuid).await {
                Ok(record) => self.know(known, record)?,
                // Folded into another one meanwhile, which the list may not have had: whoever asks sees it next time.
                Err(ApiError::NotFound { .. }) => {
                    known.collections.remove(&uuid);
                }
                Err(error) => return Err(error),
            }
        }
        known.as_of = Some(begun);
        Ok(())
    }

    async fn project(&self, known: &mut Known) -> Result<String, ApiError> {
        if let Some(project) = self.options.project.as_ref().or(known.project.as_ref()) {
            return Ok(project.clone());
        }
        Ok(known.project.insert(self.user().await?.uuid).clone())
    }

    async fn user(&self) -> Result<User, ApiError> {
        self.api.get("arvados/v1/users/current", &[]).await
    }

    async fn read(&self, reference: &str) -> Result<Record, ApiError> {
        self.api.get(&format!("{COLLECTIONS}/{}", reference.replace('+', "%2B")), &[]).await
    }

    /// Takes note of a collection and of the signatures in it.
    fn know(&self, known: &mut Known, record: Record) -> Result<(), ApiError> {
        let files = self.files_of(&record)?;
        known.collections.insert(record.uuid, Collection { hash: record.portable_data_hash, files });
        Ok(())
    }

    fn files_of(&self, record: &Record) -> Result<Files, ApiError> {
        let bad = |reason: String| ApiError::Failed {
            server: self.api.base().to_owned(),
            reason: format!("collection {}: {reason}", record.uuid),
        };
        let text = record.manifest_text.as_deref().ok_or_else(|| bad("it came without its manifest".into()))?;
        manifest::read(text, |locator| self.blocks.learn(locator)).map_err(bad)
    }

    /// Puts new files in a collection.
    async fn commit(&self, known: &mut Known, new: Files) -> Result<(), ApiError> {
        match self.options.layout {
            Layout::Single => {
                for (path, extents) in new {
                    let name = format!("{} {}", self.options.label, String::from_utf8_lossy(&path));
                    self.create(known, name, Files::from([(path, extents)])).await?;
                }
                Ok(())
            }
            Layout::Tree => {
                self.look(known).await?;
                match known.collections.iter().next() {
                    Some((uuid, collection)) => {
                        let (uuid, mut files) = (uuid.clone(), collection.files.clone());
                        files.extend(new);
                        self.change(known, &uuid, files).await
                    }
                    None => self.create(known, format!("{} tree", self.options.label), new).await,
                }
            }
            Layout::Folded => self.fold(known, new).await,
        }
    }

    /// Makes a collection of new files and of all collections that are not larger; then those go.
    async fn fold(&self, known: &mut Known, new: Files) -> Result<(), ApiError> {
        self.look(known).await?;
        let mut sizes: Vec<(usize, &String)> =
            known.collections.iter().map(|(uuid, collection)| (collection.files.len(), uuid)).collect();
        sizes.sort();
        let mut all = Files::new();
        let mut old = Vec::new();
        for (size, uuid) in sizes {
            if size > all.len() + new.len() {
                break;
            }
            if let Some(collection) = known.collections.get(uuid) {
                all.extend(collection.files.clone());
                old.push(uuid.clone());
            }
        }
        all.extend(new);
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("{} {}", self.options.label, unique.get(..8).unwrap_or_default());
        match self.create(known, name.clone(), all.clone()).await {
            Err(ApiError::Refused { .. }) if !old.is_empty() => {
                // Signatures that were read long ago have expired.
                for uuid in &old {
                    self.files_of(&self.read(uuid).await?)?;
                }
                self.create(known, name, all).await?;
            }
            created => created?,
        }
        for uuid in old {
            match self.delete(&uuid).await {
                Ok(()) => drop(known.collections.remove(&uuid)),
                // What is in it is in the new one as well; it goes the next time.
                Err(error) => tracing::warn!("a collection that was folded into another stays: {error}"),
            }
        }
        Ok(())
    }

    async fn create(&self, known: &mut Known, name: String, files: Files) -> Result<(), ApiError> {
        let owner = self.project(known).await?;
        let body = json!({
            "owner_uuid": owner,
            "name": name,
            "description": self.options.description,
            "manifest_text": self.manifest(&files)?,
        });
        let query = [("ensure_unique_name", "true")];
        let record: Record = self.api.send(Method::POST, COLLECTIONS, &query, Some(&body)).await?;
        known.collections.insert(record.uuid, Collection { hash: record.portable_data_hash, files });
        Ok(())
    }

    async fn change(&self, known: &mut Known, uuid: &str, files: Files) -> Result<(), ApiError> {
        let body = json!({ "manifest_text": self.manifest(&files)? });
        let path = format!("{COLLECTIONS}/{uuid}");
        let record: Record = self.api.send(Method::PUT, &path, &[], Some(&body)).await?;
        known.collections.insert(record.uuid, Collection { hash: record.portable_data_hash, files });
        Ok(())
    }

    async fn delete(&self, uuid: &str) -> Result<(), ApiError> {
        let deleted: Result<Value, _> =
            self.api.send(Method::DELETE, &format!("{COLLECTIONS}/{uuid}"), &[], None).await;
        match deleted {
            Ok(_) | Err(ApiError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn manifest(&self, files: &Files) -> Result<String, ApiError> {
        let bad = |reason| ApiError::Failed { server: self.api.base().to_owned(), reason };
        manifest::write(files, |block| self.blocks.locator(block)).map_err(bad)
    }
}

#[async_trait]
impl Renew for Collections {
    async fn renew(&self, block: Block) -> Result<Option<Locator>, ApiError> {
        let mut known = self.known.lock().await;
        let has = |files: &Files| files.values().flatten().any(|extent| extent.block == block);
        let holder = known.collections.iter().find(|(_, collection)| has(&collection.files));
        let Some(uuid) = holder.map(|(uuid, _)| uuid.clone()) else { return Ok(None) };
        match self.read(&uuid).await {
            Ok(record) => self.know(&mut known, record)?,
            Err(ApiError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
        Ok(Some(self.blocks.locator(block)).filter(Locator::is_signed))
    }
}

impl Known {
    fn find(&self, path: &[u8]) -> Option<&Vec<Extent>> {
        self.collections.values().find_map(|collection| collection.files.get(path))
    }
}

impl std::fmt::Debug for Collections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collections").field("options", &self.options).finish_non_exhaustive()
    }
}
