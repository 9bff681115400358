//! Lists of work that are replaced as a whole.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Work that waits. Cloning shares it.
pub(super) struct Queue<T>(Arc<Mutex<Waiting<T>>>);

struct Waiting<T> {
    waiting: VecDeque<T>,
    /// Somebody is working it off.
    worked: bool,
}

impl<T> Queue<T> {
    /// Replaces what waits; true if nobody works it off: the caller then has to, with [`Queue::next`] until that is empty.
    #[must_use]
    pub(super) fn replace(&self, list: Vec<T>) -> bool {
        let mut state = self.state();
        state.waiting = list.into();
        !state.waiting.is_empty() && !std::mem::replace(&mut state.worked, true)
    }

    /// Takes the next piece of work; with `None` nobody works it off any more.
    pub(super) fn next(&self) -> Option<T> {
        let mut state = self.state();
        let next = state.waiting.pop_front();
        state.worked = next.is_some();
        next
    }

    /// Returns how much waits.
    pub(super) fn len(&self) -> usize {
        self.state().waiting.len()
    }

    fn state(&self) -> MutexGuard<'_, Waiting<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Waiting { waiting: VecDeque::new(), worked: false })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_works_and_a_new_list_takes_the_place_of_the_old() {
        let queue = Queue::default();
        assert!(!queue.replace(Vec::<u8>::new()), "nothing to do");
        assert!(queue.replace(vec![1, 2]));
        assert_eq!(queue.next(), Some(1));
        assert!(!queue.replace(vec![7]), "somebody is at it");
        assert_eq!((queue.len(), queue.next(), queue.next()), (1, Some(7), None));
        assert!(queue.replace(vec![8]));
    }
}
