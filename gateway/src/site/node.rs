//! Adding, changing and removing nodes in the configuration.

use std::collections::BTreeMap;

use annex_protocol::uuid::Uuid;
use toml_edit::{DocumentMut, InlineTable, Item, Table, TableLike, value};

use super::config::{self, check_node_name};
use super::{RepoName, Site, SiteError};
use crate::node::NodeSpec;
use crate::node::kind::secret::Secret;

impl Site {
    /// Adds a node to the configuration. The site that is open stays as it was: see [`Site::reload`].
    pub fn add_node(
        &self,
        name: &str,
        spec: &NodeSpec,
        repo: Option<&RepoName>,
        uuid: Option<&Uuid>,
        secrets: &BTreeMap<String, Secret>,
    ) -> Result<(), SiteError> {
        check_node_name(name).map_err(SiteError::Invalid)?;
        config::edit(self, |document| {
            let nodes = nodes(document)?;
            if nodes.contains_key(name) {
                return Err(format!("there is a node {name} already"));
            }
            let mut node = Table::new();
            node.insert("id", value(uuid::Uuid::new_v4().to_string()));
            node.insert("store", value(spec.to_string()));
            if let Some(repo) = repo {
                node.insert("repo", value(repo.to_string()));
            }
            if let Some(uuid) = uuid {
                node.insert("uuid", value(uuid.to_string()));
            }
            if !secrets.is_empty() {
                let secrets = secrets.iter().map(|(name, secret)| (name.as_str(), secret.to_string()));
                node.insert("secrets", value(secrets.collect::<InlineTable>()));
            }
            nodes.insert(name, Item::Table(node));
            Ok(())
        })
    }

    /// Gives a node another place in the configuration; all else of it stays, what its UUIDs are made from too.
    pub fn replace_node(&self, name: &str, spec: &NodeSpec) -> Result<(), SiteError> {
        config::edit(self, |document| replace(document, name, spec))
    }

    /// Returns the site as it would be with a node in another place. Nothing is written.
    pub fn with_node_at(&self, name: &str, spec: &NodeSpec) -> Result<Self, SiteError> {
        let (_, config) = config::edited(self, |document| replace(document, name, spec))?;
        Ok(self.with_config(config))
    }

    /// Changes what a node costs, or whether it is to become empty.
    pub fn set_node(&self, name: &str, cost: Option<u32>, drain: Option<bool>) -> Result<(), SiteError> {
        config::edit(self, |document| {
            let node = node(document, name)?;
            if let Some(cost) = cost {
                node.insert("cost", value(i64::from(cost)));
            }
            match drain {
                Some(true) => drop(node.insert("drain", value(true))),
                Some(false) => drop(node.remove("drain")),
                None => {}
            }
            Ok(())
        })
    }

    /// Changes how much a node holds: its `reserve` or `maxsize`, a size as text; `none` takes it away.
    pub fn set_node_size(&self, name: &str, setting: &str, size: &str) -> Result<(), SiteError> {
        config::edit(self, |document| {
            let node = nodes(document)?.get_mut(name).and_then(Item::as_table_like_mut);
            let node = node.ok_or_else(|| format!("there is no node {name}"))?;
            match size {
                "none" => drop(node.remove(setting)),
                size => drop(node.insert(setting, value(size))),
            }
            Ok(())
        })
    }

    /// Takes a node out of the configuration. Its store stays as it is.
    pub fn remove_node(&self, name: &str) -> Result<(), SiteError> {
        config::edit(self, |document| {
            nodes(document)?.remove(name).map(drop).ok_or_else(|| format!("there is no node {name}"))
        })
    }
}

fn replace(document: &mut DocumentMut, name: &str, spec: &NodeSpec) -> Result<(), String> {
    node(document, name)?.insert("store", value(spec.to_string()));
    Ok(())
}

fn node<'a>(document: &'a mut DocumentMut, name: &str) -> Result<&'a mut dyn TableLike, String> {
    let node = nodes(document)?.get_mut(name).and_then(Item::as_table_like_mut);
    node.ok_or_else(|| format!("there is no node {name}"))
}

fn nodes(document: &mut DocumentMut) -> Result<&mut Table, String> {
    document.get_mut("nodes").and_then(Item::as_table_mut).ok_or_else(|| "[nodes.NAME] is missing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_come_and_go_and_what_people_wrote_stays() {
        let dir = tempfile::tempdir().unwrap();
        let site = Site::init(&dir.path().join("site"), &[]).unwrap();
        let file = site.root().join(config::FILE);
        let before = std::fs::read_to_string(&file).unwrap();
        let spec = NodeSpec::parse("keep:/disk4").unwrap();
        let secrets = BTreeMap::new();
        site.add_node("d", &spec, None, None, &secrets).unwrap();
        assert!(site.add_node("d", &spec, None, None, &secrets).is_err());
        assert!(site.add_node("cluster", &spec, None, None, &secrets).is_err());
        assert_eq!(site.reload().unwrap().config().nodes["d"].store, spec);
        site.set_node("d", Some(50), Some(true)).unwrap();
        let changed = site.reload().unwrap();
        assert_eq!((changed.config().nodes["d"].cost, changed.config().nodes["d"].drain), (50, true));
        let moved = NodeSpec::parse("keep:/disk5").unwrap();
        assert_eq!(site.with_node_at("d", &moved).unwrap().config().nodes["d"].store, moved);
        assert_eq!(site.reload().unwrap().config().nodes["d"].store, spec, "nothing was written");
        site.replace_node("d", &moved).unwrap();
        let replaced = site.reload().unwrap();
        assert_eq!(replaced.config().nodes["d"].store, moved);
        assert_eq!(replaced.config().nodes["d"].id, changed.config().nodes["d"].id);
        assert!(site.replace_node("e", &moved).is_err());
        site.set_node_size("d", "maxsize", "5 GB").unwrap();
        assert_eq!(site.reload().unwrap().config().nodes["d"].max_size, Some(5_000_000_000));
        assert!(site.set_node_size("d", "maxsize", "much").is_err());
        site.set_node_size("d", "maxsize", "none").unwrap();
        assert_eq!(site.reload().unwrap().config().nodes["d"].max_size, None);
        site.remove_node("d").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
        assert!(site.remove_node("d").is_err());
        assert!(site.set_node("d", None, None).is_err());
        for name in ["a", "b"] {
            site.remove_node(name).unwrap();
        }
        assert!(site.remove_node("c").is_err(), "a site needs a node");
    }
}
