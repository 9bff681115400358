//! Blocking work on a stream of bytes, in order and off the runtime.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::Counted;

/// What a [`Lane`] does with the bytes it is given.
pub trait Work: Send + 'static {
    /// Takes the next bytes. Errors are the work's own to remember until it is finished.
    fn take(&mut self, bytes: Counted);
}

/// Runs a piece of [`Work`] on blocking threads, bytes in the order they were pushed.
///
/// A thread is held only while bytes wait: a lane whose source has stalled costs none. Dropping the lane drops what
/// waits in it and, as soon as the running step ends, the work.
#[derive(Debug)]
pub struct Lane<W: Work>(Arc<Mutex<State<W>>>);

/// Bytes that gather before a thread is asked for: below it the hop would cost more than the work.
const GATHER: usize = 128 << 10;

/// Fewer bytes than these are worked on in place: about a tenth of a millisecond, less than a change of thread can cost.
const IN_PLACE: usize = 64 << 10;

type Ending<W> = Box<dyn FnOnce(W) + Send>;

struct State<W> {
    waiting: VecDeque<Counted>,
    size: usize,
    /// `None` while a thread has it.
    work: Option<W>,
    ending: Option<Ending<W>>,
    dropped: bool,
}

impl<W: Work> Lane<W> {
    /// Makes a lane for `work`; nothing runs yet.
    pub fn new(work: W) -> Self {
        let waiting = VecDeque::new();
        Self(Arc::new(Mutex::new(State { waiting, size: 0, work: Some(work), ending: None, dropped: false })))
    }

    /// Hands over bytes. Never waits: the bound is the budget that the bytes were counted against.
    ///
    /// Must be called on a tokio runtime.
    pub fn push(&self, bytes: Counted) {
        let mut state = lock(&self.0);
        state.size += bytes.bytes.len();
        state.waiting.push_back(bytes);
        if state.size >= GATHER {
            self.start(state);
        }
    }

    /// Works on what was handed over now, however little it is.
    pub fn hurry(&self) {
        let state = lock(&self.0);
        if !state.waiting.is_empty() {
            self.start(state);
        }
    }

    /// Runs `ending` on the work, on a blocking thread, once all bytes went through it.
    ///
    /// The work goes on and ends even when the receiver is dropped. The receiver fails only if the work panicked or the
    /// runtime ended.
    pub fn finish<R: Send + 'static>(self, ending: impl FnOnce(W) -> R + Send + 'static) -> oneshot::Receiver<R> {
        let (send, receive) = oneshot::channel();
        let mut state = lock(&self.0);
        state.ending = Some(Box::new(move |work| {
            let _nobody_waits = send.send(ending(work));
        }));
        self.start(state);
        receive
    }

    /// Runs `ending` as [`Lane::finish`] does; at once, on this thread, when no other has the work and few bytes wait.
    ///
    /// `None` if the work panicked or the runtime ended.
    pub fn finish_soon<R: Send + 'static>(
        self,
        ending: impl FnOnce(W) -> R + Send + 'static,
    ) -> BoxFuture<'static, Option<R>> {
        let mut state = lock(&self.0);
        let work = if state.size > IN_PLACE { None } else { state.work.take() };
        let Some(mut work) = work else {
            drop(state);
            return self.finish(ending).map(Result::ok).boxed();
        };
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(|bytes| work.take(bytes));
        std::future::ready(Some(ending(work))).boxed()
    }

    fn start(&self, mut state: MutexGuard<'_, State<W>>) {
        if let Some(work) = state.work.take() {
            drop(state);
            let shared = Arc::clone(&self.0);
            tokio::task::spawn_blocking(move || drive(&shared, work));
        }
    }
}

impl<W: Work> Drop for Lane<W> {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        if state.ending.is_none() {
            state.dropped = true;
            let waiting = std::mem::take(&mut state.waiting);
            let work = state.work.take();
            drop(state);
            drop((waiting, work));
        }
    }
}

/// Works until nothing waits, then gives the work back, or ends it.
fn drive<W: Work>(shared: &Mutex<State<W>>, mut work: W) {
    loop {
        let mut state = lock(shared);
        let batch = std::mem::take(&mut state.waiting);
        state.size = 0;
        if batch.is_empty() {
            match state.ending.take() {
                Some(ending) => {
                    drop(state);
                    ending(work);
                }
                None if state.dropped => {
                    drop(state);
                    drop(work);
                }
                None => state.work = Some(work),
            }
            return;
        }
        drop(state);
        for bytes in batch {
            work.take(bytes);
        }
    }
}

fn lock<W>(state: &Mutex<State<W>>) -> MutexGuard<'_, State<W>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<W> std::fmt::Debug for State<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("size", &self.size).field("running", &self.work.is_none()).finish()
    }
}
