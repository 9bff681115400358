//! Trees: edited in place of files, and walked side by side.

use std::collections::BTreeMap;

use gix::objs::TreeRefIter;

use super::{FILE, Git, GitError, ObjectId};

/// A file that is not the same in two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The file's path.
    pub path: Vec<u8>,
    /// The blob on the one side.
    pub ours: Option<ObjectId>,
    /// The blob on the other side.
    pub theirs: Option<ObjectId>,
}

/// One entry of a tree.
struct Entry {
    name: Vec<u8>,
    is_tree: bool,
    id: ObjectId,
}

/// The entries of one name and kind in two trees.
struct Pair {
    name: Vec<u8>,
    is_tree: bool,
    ours: Option<ObjectId>,
    theirs: Option<ObjectId>,
}

impl Git {
    /// Writes a tree: that of `base` (nothing if `None`) with the given files put in place.
    pub fn edit_tree(&self, base: Option<ObjectId>, files: &[(Vec<u8>, Vec<u8>)]) -> Result<ObjectId, GitError> {
        let handle = self.handle();
        let tree = match base {
            Some(commit) => self.tree_of(&handle, commit)?,
            None => handle.empty_tree(),
        };
        let mut editor = tree.edit().map_err(|e| self.fail("editing a tree", &e))?;
        for (path, content) in files {
            let blob = handle.write_blob(content).map_err(|e| self.fail("writing a blob", &e))?;
            let parts = path.split(|b| *b == b'/').map(gix::bstr::BStr::new);
            editor.upsert(Components(parts.collect()), FILE, blob).map_err(|e| self.fail("editing a tree", &e))?;
        }
        let id = editor.write().map_err(|e| self.fail("writing a tree", &e))?;
        Ok(id.detach())
    }

    /// Returns the files that differ between the trees of two commits, equal sub-trees skipped unread.
    pub fn differences(&self, ours: Option<ObjectId>, theirs: ObjectId) -> Result<Vec<Difference>, GitError> {
        let handle = self.handle();
        let root = |commit| Ok::<_, GitError>(self.tree_of(&handle, commit)?.id);
        let ours = ours.map(root).transpose()?;
        let mut found = Vec::new();
        let mut pending = vec![(Vec::new(), ours, Some(root(theirs)?))];
        while let Some((prefix, ours, theirs)) = pending.pop() {
            let ours = self.entries(&handle, ours)?;
            let theirs = self.entries(&handle, theirs)?;
            for pair in side_by_side(ours, theirs) {
                let path = [prefix.as_slice(), &pair.name].concat();
                if pair.is_tree {
                    pending.push(([path.as_slice(), b"/"].concat(), pair.ours, pair.theirs));
                } else {
                    found.push(Difference { path, ours: pair.ours, theirs: pair.theirs });
                }
            }
        }
        Ok(found)
    }

    /// Calls `visit` with the path and content of every file in a commit's tree whose path is wanted.
    pub fn for_each_file(
        &self,
        commit: ObjectId,
        wanted: impl Fn(&[u8]) -> bool,
        mut visit: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), GitError> {
        let handle = self.handle();
        let mut pending = vec![(Vec::new(), self.tree_of(&handle, commit)?.id)];
        while let Some((prefix, tree)) = pending.pop() {
            for entry in self.entries(&handle, Some(tree))? {
                let path = [prefix.as_slice(), &entry.name].concat();
                if entry.is_tree {
                    pending.push(([path.as_slice(), b"/"].concat(), entry.id));
                } else if wanted(&path) {
                    visit(&path, &self.blob(&handle, entry.id)?);
                }
            }
        }
        Ok(())
    }

    fn entries(&self, handle: &gix::Repository, tree: Option<ObjectId>) -> Result<Vec<Entry>, GitError> {
        let Some(tree) = tree else { return Ok(Vec::new()) };
        let tree = handle.find_tree(tree).map_err(|e| self.fail("reading a tree", &e))?;
        let entries = TreeRefIter::from_bytes(&tree.data, handle.object_hash());
        entries
            .map(|entry| {
                let entry = entry.map_err(|e| self.fail("reading a tree", &e))?;
                let (name, is_tree) = (entry.filename.to_vec(), entry.mode.is_tree());
                Ok(Entry { name, is_tree, id: entry.oid.to_owned() })
            })
            .collect()
    }
}

/// Pairs the entries of two trees, leaving out the equal ones.
fn side_by_side(ours: Vec<Entry>, theirs: Vec<Entry>) -> Vec<Pair> {
    let mut pairs: BTreeMap<(Vec<u8>, bool), Pair> = BTreeMap::new();
    for Entry { name, is_tree, id } in ours {
        pairs.insert((name.clone(), is_tree), Pair { name, is_tree, ours: Some(id), theirs: None });
    }
    for Entry { name, is_tree, id } in theirs {
        let empty = Pair { name: name.clone(), is_tree, ours: None, theirs: None };
        pairs.entry((name, is_tree)).or_insert(empty).theirs = Some(id);
    }
    pairs.into_values().filter(|pair| pair.ours != pair.theirs).collect()
}

struct Components<'a>(Vec<&'a gix::bstr::BStr>);

impl gix::object::tree::editor::ToComponents for Components<'_> {
    fn to_components(&self) -> impl Iterator<Item = &gix::bstr::BStr> {
        self.0.iter().copied()
    }
}
