//! Files moved, copied and removed: the tree of a manifest changes, no data does.

use std::collections::BTreeMap;

use super::files::{Files, is_below, parents};
use super::syntax::{self, Reason};
use super::{Manifest, normal};

impl<'a> Files<'a> {
    /// Returns what is at a path, with paths from there on: a file has the empty path. `None` when nothing is.
    ///
    /// The path comes without `./`; the empty one is the whole tree.
    pub fn subtree(&self, path: &[u8]) -> Option<Self> {
        let relative = |inner: &[u8]| {
            let rest = inner.strip_prefix(path)?;
            match rest.strip_prefix(b"/") {
                Some(rest) if !path.is_empty() => Some(rest.to_vec()),
                _ if rest.is_empty() || path.is_empty() => Some(rest.to_vec()),
                _ => None,
            }
        };
        let files = self.files.iter().filter_map(|(inner, file)| Some((relative(inner)?, file.clone())));
        let files: BTreeMap<_, _> = files.collect();
        let directories: Vec<_> = self.directories.iter().filter_map(|inner| relative(inner)).collect();
        (path.is_empty() || !files.is_empty() || !directories.is_empty()).then_some(Self { files, directories })
    }

    /// Removes what is at a path, a file or a whole directory; the directory above it stays.
    pub fn remove(&mut self, path: &[u8]) {
        let before = (self.files.len(), self.directories.len());
        self.files.retain(|inner, _| !is_below(inner, path));
        self.directories.retain(|inner| !is_below(inner, path));
        if before == (self.files.len(), self.directories.len()) {
            return;
        }
        if let Some(slash) = path.iter().rposition(|byte| *byte == b'/') {
            self.directories.extend(path.get(..slash).map(<[u8]>::to_vec));
        }
    }

    /// Puts a subtree at a path, in place of what is there.
    ///
    /// Refused if the path is no name of a file, or one of the directories above it is a file.
    pub fn put(&mut self, path: &[u8], subtree: Self) -> Result<(), Reason> {
        if !path.is_empty() {
            syntax::check_file_name(path, false)?;
        }
        self.remove(path);
        if parents(path).any(|above| self.files.contains_key(above)) {
            return Err(Reason::FileAndDirectory);
        }
        if path.is_empty() && subtree.files.contains_key(path) {
            return Err(Reason::FileName);
        }
        let place = |inner: Vec<u8>| match (path.is_empty(), inner.is_empty()) {
            (true, _) => inner,
            (false, true) => path.to_vec(),
            (false, false) => [path, &inner].join(&b'/'),
        };
        self.files.extend(subtree.files.into_iter().map(|(inner, file)| (place(inner), file)));
        self.directories.extend(subtree.directories.into_iter().map(place));
        Ok(())
    }

    /// Writes the tree as a manifest in normal form, without hints.
    pub fn to_manifest(&self) -> Result<Manifest, Reason> {
        Ok(Manifest { streams: normal::of_files(self)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &str = "acbd18db4cc2f85cedef654fccc4a4d8+3";

    fn manifest() -> Manifest {
        let text = format!(". {BLOCK} 0:1:a 1:1:ab\n./d {BLOCK} 2:1:x\n./d/e {BLOCK} 0:3:y\n");
        Manifest::parse(text.as_bytes()).unwrap()
    }

    fn text(files: &Files<'_>) -> String {
        String::from_utf8(files.to_manifest().unwrap().to_bytes()).unwrap()
    }

    #[test]
    fn a_file_is_moved() {
        let manifest = manifest();
        let mut files = manifest.files().unwrap();
        let moved = files.subtree(b"d/e/y").unwrap();
        files.remove(b"d/e/y");
        files.put(b"new/name", moved).unwrap();
        let empty = "d41d8cd98f00b204e9800998ecf8427e+0";
        let wanted =
            format!(". {BLOCK} 0:1:a 1:1:ab\n./d {BLOCK} 2:1:x\n./d/e {empty} 0:0:\\056\n./new {BLOCK} 0:3:name\n");
        assert_eq!(text(&files), wanted);
    }

    #[test]
    fn a_directory_takes_the_place_of_another_one() {
        let (one, other) = (manifest(), manifest());
        let mut files = one.files().unwrap();
        let from = other.files().unwrap();
        files.put(b"d", from.subtree(b"d/e").unwrap()).unwrap();
        assert_eq!(text(&files), format!(". {BLOCK} 0:1:a 1:1:ab\n./d {BLOCK} 0:3:y\n"));
        files.put(b"", from.subtree(b"d").unwrap()).unwrap();
        assert_eq!(text(&files), format!(". {BLOCK} 2:1:x\n./e {BLOCK} 0:3:y\n"));
        files.remove(b"");
        assert_eq!(text(&files), "");
    }

    #[test]
    fn only_whole_names_match() {
        let manifest = manifest();
        let mut files = manifest.files().unwrap();
        assert!(files.subtree(b"nothing").is_none());
        assert!(files.subtree(b"d/").is_none());
        files.remove(b"a");
        assert!(files.get(b"ab").is_some() && files.get(b"a").is_none());
    }

    #[test]
    fn what_cannot_be_there_is_refused() {
        let manifest = manifest();
        let mut files = manifest.files().unwrap();
        let file = files.subtree(b"a").unwrap();
        assert_eq!(files.put(b"ab/below", file.clone()), Err(Reason::FileAndDirectory));
        for bad in [&b"/x"[..], b"x/", b"../x", b"x//y", b"."] {
            assert_eq!(files.put(bad, file.clone()), Err(Reason::FileName));
        }
        assert_eq!(files.put(b"", file), Err(Reason::FileName), "a file is no tree");
    }
}
