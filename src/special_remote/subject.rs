//! What a request is about, and where that is recorded.

use annex_protocol::external::{RemoteRequest, Text, WireKey};
use annex_protocol::key::Key;
use keep_store::entries::collections::Collections;
use keep_store::entries::{Extent, extents_of_entry};
use keep_store::index::Entry;

use super::host::Host;
use super::shared::{Place, Record};
use super::state::{State, escaped};
use super::trouble::Trouble;
use super::url;

/// A key, or with EXPORT a file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) wire: WireKey,
    pub(super) key: Key,
    /// The file's path in the tree.
    pub(super) path: Option<Vec<u8>>,
}

/// A content that the remote has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) size: u64,
    pub(super) extents: Vec<Extent>,
}

/// The files of a tree belong to an owner of their own: they are entries by path, not by key.
const TREE: &[u8] = b".tree";

impl Subject {
    /// Takes a request's key, and the name that EXPORT gave.
    pub(super) fn new(wire: &WireKey, path: Option<Text>) -> Result<Self, Trouble> {
        let path = path.map(|path| path.as_bytes().to_vec());
        Ok(Self { wire: wire.clone(), key: wire.key()?, path })
    }

    /// The file's path in a collection.
    fn path_in_collection(&self) -> Vec<u8> {
        self.path.clone().unwrap_or_else(|| self.key.file_name())
    }

    /// The same key under another path.
    pub(super) fn at(&self, path: &Text) -> Self {
        Self { path: Some(path.as_bytes().to_vec()), ..self.clone() }
    }
}

impl Found {
    pub(super) fn of(extents: Vec<Extent>) -> Self {
        Self { size: extents.iter().map(|extent| u64::from(extent.size)).sum(), extents }
    }
}

impl Place<'_> {
    /// Returns owner and name under which the store knows a content.
    pub(super) fn entry_name(&self, subject: &Subject) -> (Vec<u8>, Vec<u8>) {
        match (&self.record, &subject.path) {
            (Record::Index, Some(path)) => ([self.owner, TREE].concat(), escaped(path)),
            (Record::Index, None) | (Record::State | Record::Collections(_), _) => {
                (self.owner.to_vec(), subject.key.file_name())
            }
        }
    }

    /// Looks a content up; `None` when it is recorded nowhere that the remote has it.
    pub(super) async fn find(&self, subject: &Subject, host: &mut Host) -> Result<Option<Found>, Trouble> {
        let (owner, name) = self.entry_name(subject);
        let entry = match &self.record {
            Record::Collections(collections) => {
                let extents = collections.find(&subject.path_in_collection(), false).await?;
                let extents = match extents {
                    None if subject.path.is_none() => self.behind_url(subject, collections, host).await?,
                    extents => extents,
                };
                return Ok(extents.map(Found::of));
            }
            Record::Index => self.store.entry(&owner, &name).await?,
            Record::State => match state(subject, host).await? {
                Some(state) if state.has(subject.path.as_deref()) => {
                    let entry = self.store.entry_at(&state.manifest).await?;
                    if entry.as_ref().is_some_and(|entry| (&entry.owner, &entry.name) != (&owner, &name)) {
                        let manifest = state.manifest.stripped();
                        return Err(Trouble::failed(format!("{manifest} is not the manifest of {}", subject.key)));
                    }
                    entry
                }
                _ => None,
            },
        };
        Ok(entry.map(|entry| Found::of(extents_of_entry(&entry))))
    }

    /// Looks for a key in other people's collections: at the `keep:` URLs that git-annex knows of it.
    async fn behind_url(
        &self,
        subject: &Subject,
        collections: &Collections,
        host: &mut Host,
    ) -> Result<Option<Vec<Extent>>, Trouble> {
        for url in host.urls(&subject.wire, url::SCHEME).await? {
            if let Some(extents) = url::find(&url, collections).await? {
                return Ok(Some(extents));
            }
        }
        Ok(None)
    }

    /// Tells whether the remote has a content, with all its blocks.
    pub(super) async fn present(&self, subject: &Subject, host: &mut Host) -> Result<bool, Trouble> {
        if let Record::Collections(collections) = &self.record {
            // Others may have removed it since it was seen last.
            collections.find(&subject.path_in_collection(), true).await?;
        }
        match self.find(subject, host).await? {
            Some(found) => Ok(self.store.has_file(&found.extents).await?),
            None => {
                // The index can still be read after the store's disk was unmounted, so the store itself is asked what
                // is wrong.
                let (owner, name) = self.entry_name(subject);
                Ok(matches!(self.record, Record::Index) && self.store.present(&owner, &name).await?)
            }
        }
    }

    /// Records a content that is in the store from now on.
    pub(super) async fn record(&self, subject: &Subject, entry: &Entry, host: &mut Host) -> Result<(), Trouble> {
        match &self.record {
            Record::Collections(collections) => {
                Ok(collections.record(&subject.path_in_collection(), extents_of_entry(entry)).await?)
            }
            // The store did.
            Record::Index => Ok(()),
            Record::State => {
                let known = state(subject, host).await?;
                let state = State::new(self.store.manifest_locator(entry), known, subject.path.as_deref());
                set_state(subject, state.to_text(), host).await
            }
        }
    }

    /// Removes a content; whether it was there makes no difference.
    pub(super) async fn remove(&self, subject: &Subject, host: &mut Host) -> Result<(), Trouble> {
        match &self.record {
            Record::Collections(collections) => {
                collections.remove(&subject.path_in_collection()).await?;
                if subject.path.is_none() && self.behind_url(subject, collections, host).await?.is_some() {
                    let text = "it can still be read by its keep: URL, which git annex rmurl takes away";
                    return Err(Trouble::failed(text.into()));
                }
                Ok(())
            }
            Record::Index => {
                let (owner, name) = self.entry_name(subject);
                // The index stays open when the store's disk is unmounted. It must not be believed or changed then.
                self.store.present(&owner, &name).await?;
                self.store.remove(&owner, &name).await?;
                Ok(())
            }
            Record::State => match state(subject, host).await? {
                Some(state) => set_state(subject, state.without(subject.path.as_deref()), host).await,
                None => Ok(()),
            },
        }
    }

    /// Gives a file of a tree another path; false when it is not there. No content moves.
    pub(super) async fn rename(&self, subject: &Subject, to: &Text, host: &mut Host) -> Result<bool, Trouble> {
        let target = subject.at(to);
        match &self.record {
            Record::Collections(collections) => {
                let (from, to) = (subject.path_in_collection(), target.path_in_collection());
                Ok(collections.rename(&from, &to).await?)
            }
            Record::Index => {
                let ((owner, from), (_, to)) = (self.entry_name(subject), self.entry_name(&target));
                Ok(self.store.rename(&owner, &from, &to).await?)
            }
            Record::State => match state(subject, host).await? {
                Some(state) if state.has(subject.path.as_deref()) => {
                    let state = state.renamed(subject.path.as_deref(), target.path.as_deref());
                    set_state(subject, state.to_text(), host).await?;
                    Ok(true)
                }
                _ => Ok(false),
            },
        }
    }
}

/// Asks git-annex what was recorded of a key.
pub(super) async fn state(subject: &Subject, host: &mut Host) -> Result<Option<State>, Trouble> {
    let text = host.value(RemoteRequest::GetState { key: subject.wire.clone() }).await?;
    if text.is_empty() {
        return Ok(None);
    }
    let unknown = || Trouble::failed(format!("what is recorded of {} is not understood", subject.key));
    State::parse(&text).map(Some).ok_or_else(unknown)
}

async fn set_state(subject: &Subject, text: Vec<u8>, host: &Host) -> Result<(), Trouble> {
    let value = Text::of_message(text);
    Ok(host.tell(RemoteRequest::SetState { key: subject.wire.clone(), value }).await?)
}
