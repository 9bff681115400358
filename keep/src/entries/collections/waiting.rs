//! What waits to be done by whoever comes first, for all.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Files;
use crate::entries::file::Extent;

/// Files that wait.
#[derive(Default)]
pub(super) struct Waiting(Mutex<Files>);

/// A piece of work that waits. If its call was cancelled, it is not done any more: done later, it could undo what
/// others rely on by then.
pub(super) struct Ticket<'a> {
    list: &'a Waiting,
    path: &'a [u8],
}

impl Waiting {
    /// Adds a file.
    pub(super) fn add<'a>(&'a self, path: &'a [u8], extents: Vec<Extent>) -> Ticket<'a> {
        self.files().insert(path.to_vec(), extents);
        Ticket { list: self, path }
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket<'_> {
    /// Takes all that wait, if this one is among them; `None` if somebody has taken it before.
    pub(super) fn take_all(self) -> Option<Files> {
        let mut files = self.list.files();
        files.contains_key(self.path).then(|| std::mem::take(&mut *files))
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.list.files().remove(self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_takes_all_and_who_gave_up_is_not_among_them() {
        let waiting = Waiting::default();
        let (first, second, third) =
            (waiting.add(b"a", Vec::new()), waiting.add(b"b", Vec::new()), waiting.add(b"c", Vec::new()));
        drop(second);
        let taken = third.take_all().unwrap();
        assert_eq!(taken.keys().collect::<Vec<_>>(), [&b"a".to_vec(), &b"c".to_vec()]);
        assert!(first.take_all().is_none());
        assert!(waiting.files().is_empty());
    }
}
