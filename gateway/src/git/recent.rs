//! Trees that were read lately, decoded. The git-annex branch has a few that every reader goes through, with thousands of
//! entries each; what an object's name stands for never changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gix::objs::TreeRefIter;

use super::{Git, GitError, ObjectId};

/// The entries of a tree by name: whether it is a tree, and its object.
type Names = HashMap<Box<[u8]>, (bool, ObjectId)>;

/// What was read lately from one repository.
#[derive(Clone, Default)]
pub(super) struct Recent(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The trees of commits.
    roots: HashMap<ObjectId, ObjectId>,
    trees: HashMap<ObjectId, Arc<Names>>,
    /// Entries of all trees together.
    entries: usize,
}

/// Entries that are kept; one takes about a hundred bytes.
const MOST: usize = 40_000;

impl Recent {
    /// Tells whether this is a commit that was read.
    pub(super) fn knows(&self, commit: ObjectId) -> bool {
        self.lock().roots.contains_key(&commit)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// When it is full, everything is forgotten: the trees of the branch's tip are soon read again.
    fn make_room(&mut self, entries: usize) {
        if self.entries + entries > MOST || self.roots.len() > MOST {
            *self = Self::default();
        }
        self.entries += entries;
    }
}

impl Git {
    /// Returns the content of the file at `path` in a commit's tree.
    pub fn read_file(&self, commit: ObjectId, path: &[u8]) -> Result<Option<Vec<u8>>, GitError> {
        let mut tree = self.root(commit)?;
        let mut parts = path.split(|byte| *byte == b'/').peekable();
        while let Some(part) = parts.next() {
            let Some((is_tree, found)) = self.names(tree)?.get(part).copied() else { break };
            match (parts.peek(), is_tree) {
                (Some(_), true) => tree = found,
                (None, false) => return self.blob(&self.handle(), found).map(Some),
                _ => break,
            }
        }
        Ok(None)
    }

    fn root(&self, commit: ObjectId) -> Result<ObjectId, GitError> {
        if let Some(tree) = self.recent.lock().roots.get(&commit) {
            return Ok(*tree);
        }
        let tree = self.tree_of(&self.handle(), commit)?.id;
        let mut state = self.recent.lock();
        state.make_room(0);
        state.roots.insert(commit, tree);
        Ok(tree)
    }

    fn names(&self, tree: ObjectId) -> Result<Arc<Names>, GitError> {
        if let Some(names) = self.recent.lock().trees.get(&tree) {
            return Ok(Arc::clone(names));
        }
        let handle = self.handle();
        let read = handle.find_tree(tree).map_err(|e| self.fail("reading a tree", &e))?;
        let mut names = Names::new();
        for entry in TreeRefIter::from_bytes(&read.data, handle.object_hash()) {
            let entry = entry.map_err(|e| self.fail("reading a tree", &e))?;
            names.insert(entry.filename.to_vec().into(), (entry.mode.is_tree(), entry.oid.to_owned()));
        }
        let names = Arc::new(names);
        let mut state = self.recent.lock();
        state.make_room(names.len());
        state.trees.insert(tree, Arc::clone(&names));
        Ok(names)
    }
}
