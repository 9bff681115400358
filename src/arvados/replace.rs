//! `replace_files`: what is in a collection is moved, copied or removed, and no manifest goes back and forth.
//!
//! Each member of the object names a path (`/`, `/a/b`) and what is put there: nothing (`""`), or a file or directory of
//! the collection as it is (`current/PATH`), of the manifest that comes along (`manifest_text/PATH`), or of a collection that
//! the caller may read (`HASH/PATH`). All paths of sources mean what was there before.

use std::collections::BTreeMap;

use annex_protocol::keep::Locator;
use annex_protocol::manifest::{Files, Manifest};
use keep_store::base::task::blocking;
use serde_json::Value;

use super::content::Content;
use super::{Api, ApiError, Asking};

/// Paths without the first `/`, those above others first, and what is put there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replace(BTreeMap<String, Source>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Nothing,
    From { tree: String, path: String },
}

/// Names of trees that are no hash.
const CURRENT: &str = "current";
const GIVEN: &str = "manifest_text";

impl Replace {
    /// Reads the object of a request.
    pub fn parse(edits: &Value) -> Result<Self, ApiError> {
        let invalid = |what: &str| ApiError::Invalid(format!("replace_files: {what}"));
        let object = edits.as_object().ok_or_else(|| invalid("this should be an object"))?;
        let mut found = BTreeMap::new();
        for (target, source) in object {
            let path = target.strip_prefix('/').ok_or_else(|| invalid(&format!("{target} does not begin with /")))?;
            let source = source.as_str().ok_or_else(|| invalid(&format!("{target}: the source is no text")))?;
            let (tree, inner) = source.split_once('/').unwrap_or((source, ""));
            let known = [CURRENT, GIVEN].contains(&tree) || Locator::parse(tree.as_bytes()).is_ok();
            let source = match (source, known) {
                ("", _) => Source::Nothing,
                (_, true) => Source::From { tree: tree.to_owned(), path: inner.trim_end_matches('/').to_owned() },
                (_, false) => {
                    return Err(invalid(&format!(
                        "{source}: neither current/, manifest_text/ nor a portable data hash"
                    )));
                }
            };
            found.insert(path.to_owned(), source);
        }
        Ok(Self(found))
    }

    /// Returns the names of the trees that things come from.
    fn trees(&self) -> impl Iterator<Item = &str> {
        self.0.values().filter_map(|source| match source {
            Source::Nothing => None,
            Source::From { tree, .. } => Some(tree.as_str()),
        })
    }

    /// Makes the edits.
    fn apply(&self, current: &Files<'_>, trees: &BTreeMap<&str, Files<'_>>) -> Result<Manifest, String> {
        let mut files = current.clone();
        for (target, source) in &self.0 {
            let Source::From { tree, path } = source else {
                files.remove(target.as_bytes());
                continue;
            };
            let found = trees.get(tree.as_str()).and_then(|files| files.subtree(path.as_bytes()));
            let subtree = found.ok_or_else(|| format!("{tree}/{path}: there is no such file or directory"))?;
            files.put(target.as_bytes(), subtree).map_err(|reason| format!("/{target}: {reason}"))?;
        }
        files.to_manifest().map_err(|reason| reason.to_string())
    }
}

impl Api {
    /// Returns what becomes of a manifest by the edits of a request; `given` came with it and was looked through.
    pub(super) async fn replaced(
        &self,
        asking: &Asking,
        current: &str,
        given: Option<Content>,
        replace: &Replace,
    ) -> Result<Content, ApiError> {
        let mut texts = BTreeMap::from([(CURRENT.to_owned(), current.to_owned())]);
        texts.extend(given.map(|given| (GIVEN.to_owned(), given.text)));
        for tree in replace.trees().filter(|tree| ![CURRENT, GIVEN].contains(tree)) {
            if !texts.contains_key(tree) {
                texts.insert(tree.to_owned(), self.collection(asking, tree, false).await?.manifest);
            }
        }
        let replace = replace.clone();
        blocking(move || {
            let invalid = |error: &dyn std::fmt::Display| ApiError::Invalid(format!("replace_files: {error}"));
            let parse = |text: &String| Manifest::parse(text.as_bytes()).map_err(|error| invalid(&error));
            let manifests = texts.values().map(parse).collect::<Result<Vec<_>, _>>()?;
            let mut trees = BTreeMap::new();
            for (name, manifest) in texts.keys().zip(&manifests) {
                trees.insert(name.as_str(), manifest.files().map_err(|reason| invalid(&reason))?);
            }
            let current = trees.get(CURRENT).ok_or_else(|| invalid(&"nothing to change"))?;
            let manifest = replace.apply(current, &trees).map_err(|error| invalid(&error))?;
            let text = String::from_utf8(manifest.to_bytes()).map_err(|error| invalid(&error))?;
            Content::of(&manifest, &text)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sources_are_nothing_or_a_path_of_a_known_tree() {
        let good =
            json!({"/": "", "/a": "current/b", "/c/d": "manifest_text/", "/e": "d41d8cd98f00b204e9800998ecf8427e+0/x"});
        assert_eq!(Replace::parse(&good).unwrap().0.len(), 4);
        for bad in [json!([]), json!({"a": ""}), json!({"/a": 1}), json!({"/a": "b/c"})] {
            assert!(Replace::parse(&bad).is_err(), "{bad}");
        }
    }
}
