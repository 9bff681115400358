//! The requests that a key needs: by its name, or as a file of an exported tree.

use std::collections::BTreeMap;
use std::path::Path;

use annex_protocol::external::{Direction, Request, Text, WireKey};
use annex_protocol::key::Key;

/// Under which names a special remote keeps keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Under their own.
    Keys,
    /// `exporttree=yes annexobjects=yes`: where git-annex puts keys that are in no exported tree.
    Export,
}

/// A request, and what has to be said before it.
#[derive(Debug, Clone)]
pub(super) struct NamedRequest {
    pub(super) request: Request,
    /// The name that EXPORT gives the next request.
    pub(super) name: Option<Text>,
}

impl Layout {
    pub(super) fn of(settings: &BTreeMap<String, String>) -> Self {
        if settings.get("exporttree").is_some_and(|value| value == "yes") { Self::Export } else { Self::Keys }
    }

    /// All are `None` for a key that the protocol cannot carry: no such store can have it.
    pub(super) fn check_present(self, key: &Key) -> Option<NamedRequest> {
        let (key, name) = self.key(key)?;
        let request = match name {
            None => Request::CheckPresent { key },
            Some(_) => Request::CheckPresentExport { key },
        };
        Some(NamedRequest { request, name })
    }

    pub(super) fn remove(self, key: &Key) -> Option<NamedRequest> {
        let (key, name) = self.key(key)?;
        let request = match name {
            None => Request::Remove { key },
            Some(_) => Request::RemoveExport { key },
        };
        Some(NamedRequest { request, name })
    }

    pub(super) fn transfer(self, direction: Direction, key: &Key, file: &Path) -> Option<NamedRequest> {
        let (key, name) = self.key(key)?;
        let file = Text::new(file.as_os_str().as_encoded_bytes())?;
        let request = match name {
            None => Request::Transfer { direction, key, file },
            Some(_) => Request::TransferExport { direction, key, file },
        };
        Some(NamedRequest { request, name })
    }

    fn key(self, key: &Key) -> Option<(WireKey, Option<Text>)> {
        let wire = WireKey::new(key)?;
        let name = match self {
            Self::Keys => None,
            Self::Export => {
                let (dir, file) = (key.hash_dir_lower(), key.file_name());
                Some(Text::new([b".git/annex/objects/", dir.as_bytes(), &file[..], b"/", &file[..]].concat())?)
            }
        };
        Some((wire, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exported_key_stands_where_git_annex_puts_it() {
        let settings = BTreeMap::from([("exporttree".to_owned(), "yes".to_owned())]);
        let key = Key::parse(b"WORM-s5-m1--a:b").unwrap();
        let ask = Layout::of(&settings).check_present(&key).unwrap();
        let dir = key.hash_dir_lower();
        let name = format!(".git/annex/objects/{dir}WORM-s5-m1--a&cb/WORM-s5-m1--a&cb");
        assert_eq!(ask.name.unwrap().as_bytes(), name.as_bytes());
        assert!(matches!(ask.request, Request::CheckPresentExport { .. }));
        assert!(Layout::Keys.remove(&Key::parse(b"WORM--a b").unwrap()).is_none());
    }
}
