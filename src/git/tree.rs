//! Trees: edited in place of files, and walked side by side.

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

/// One entry of a tree: its name, whether it is a tree itself, and its id.
type Entry = (Vec<u8>, bool, ObjectId);

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
            for (name, tree, our, their) in side_by_side(ours, theirs) {
                let path = [prefix.as_slice(), &name].concat();
                if tree {
                    pending.push(([path.as_slice(), b"/"].concat(), our, their));
                } else {
                    found.push(Difference { path, ours: our, theirs: their });
                }
            }
        }
        Ok(found)
    }

    /// Calls `visit` with the path and blob of every file in a commit's tree.
    pub fn for_each_file(
        &self,
        commit: ObjectId,
        visit: &mut dyn FnMut(&[u8], ObjectId) -> Result<(), GitError>,
    ) -> Result<(), GitError> {
        let handle = self.handle();
        let mut pending = vec![(Vec::new(), self.tree_of(&handle, commit)?.id)];
        while let Some((prefix, tree)) = pending.pop() {
            for (name, is_tree, id) in self.entries(&handle, Some(tree))? {
                let path = [prefix.as_slice(), &name].concat();
                if is_tree {
                    pending.push(([path.as_slice(), b"/"].concat(), id));
                } else {
                    visit(&path, id)?;
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
                Ok((entry.filename.to_vec(), entry.mode.is_tree(), entry.oid.to_owned()))
            })
            .collect()
    }
}

/// Pairs the entries of two trees by name and kind, leaving out the equal ones.
fn side_by_side(ours: Vec<Entry>, theirs: Vec<Entry>) -> Vec<(Vec<u8>, bool, Option<ObjectId>, Option<ObjectId>)> {
    let mut all = std::collections::BTreeMap::new();
    for (name, tree, id) in ours {
        all.insert((name, tree), (Some(id), None));
    }
    for (name, tree, id) in theirs {
        all.entry((name, tree)).or_insert((None, None)).1 = Some(id);
    }
    let differing = all.into_iter().filter(|(_, (ours, theirs))| ours != theirs);
    differing.map(|((name, tree), (ours, theirs))| (name, tree, ours, theirs)).collect()
}

struct Components<'a>(Vec<&'a gix::bstr::BStr>);

impl gix::object::tree::editor::ToComponents for Components<'_> {
    fn to_components(&self) -> impl Iterator<Item = &gix::bstr::BStr> {
        self.0.iter().copied()
    }
}
