//! Facts as the vectors give them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::key::Key;
use crate::log::{Copies, Metadata, Trust};
use crate::prefer::{Expression, KeyFacts, Placement, Question};
use crate::uuid::Uuid;

pub(super) fn uuid(text: &str) -> Uuid {
    Uuid::parse(text.as_bytes()).unwrap()
}

pub(super) fn key(text: &str) -> Key {
    Key::parse(text.as_bytes()).unwrap()
}

pub(super) fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
}

pub(super) fn copies(number: &Value) -> Copies {
    Copies::new(number.as_u64().unwrap())
}

pub(super) fn trust(name: &Value) -> Trust {
    Trust::from_name(name.as_str().unwrap().as_bytes()).unwrap()
}

#[derive(Default, Clone, Debug)]
pub(super) struct Known {
    pub(super) locations: BTreeSet<Uuid>,
    pub(super) metadata: Metadata,
    pub(super) urls: Vec<Vec<u8>>,
    pub(super) equivalent_keys: Vec<Key>,
    pub(super) sizes: BTreeMap<Uuid, u64>,
}

impl KeyFacts for Known {
    fn locations(&self) -> BTreeSet<Uuid> {
        self.locations.clone()
    }

    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn urls(&self) -> Vec<Vec<u8>> {
        self.urls.clone()
    }

    fn equivalent_keys(&self) -> Vec<Key> {
        self.equivalent_keys.clone()
    }

    fn repository_size(&self, repository: &Uuid) -> Option<u64> {
        self.sizes.get(repository).copied()
    }
}

/// A tree of files and what is known of their keys.
pub(super) struct Tree {
    pub(super) repository: Uuid,
    pub(super) placement: Placement,
    pub(super) files: BTreeMap<String, (Key, Known)>,
}

impl Tree {
    pub(super) fn prefer(&mut self, preferred: &str, required: Option<&str>) {
        let parse = |text: &str| (self.repository.clone(), Expression::parse(text.as_bytes()));
        self.placement.preferred = [parse(preferred)].into();
        self.placement.required = required.map(parse).into_iter().collect();
    }

    /// As `git annex find --want-get-by`: without configuration, nothing.
    pub(super) fn want_get(&self) -> Vec<&str> {
        self.select(|question| self.placement.wants(question) == Some(true))
    }

    /// As `git annex find --want-drop-by`: without configuration, everything.
    pub(super) fn want_drop(&self) -> Vec<&str> {
        self.select(|question| self.placement.wants_to_keep(question) != Some(true))
    }

    fn select(&self, wanted: impl Fn(&Question<'_>) -> bool) -> Vec<&str> {
        let wanted = |(file, (key, facts)): &(&String, &(Key, Known))| {
            wanted(&Question { repository: &self.repository, key, file: Some(file.as_bytes()), facts })
        };
        self.files.iter().filter(wanted).map(|(file, _)| file.as_str()).collect()
    }
}
