//! Copies that are found missing when a client asks for a key.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;

use super::facts::logged;
use super::{Gateway, GatewayError};

/// Keys of which a copy may be missing, each with a node that has it.
#[derive(Default)]
pub(super) struct Noticed(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: Vec<(Key, Uuid)>,
    /// Whether a task checks those that wait.
    attended: bool,
}

/// The most keys that wait. Further ones are left to the next survey.
const MOST: usize = 10_000;

/// Keys are gathered for this long and checked together: one by one, the checks would take as long as the answers.
const PAUSE: Duration = Duration::from_millis(5);

impl Noticed {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gateway {
    /// Puts a key that is on one node into the repair queue if others should have it and have it not by the location log.
    ///
    /// Whoever asks for presence is told that the key is there, and then stores nothing. The answer does not wait for this.
    pub(super) fn notice_missing(&self, key: &Key, holder: &Uuid) {
        let mut state = self.0.noticed.lock();
        if state.waiting.len() >= MOST {
            return;
        }
        state.waiting.push((key.clone(), holder.clone()));
        if !std::mem::replace(&mut state.attended, true) {
            let gateway = self.clone();
            // The process waits for this task before it ends.
            tokio::task::spawn_blocking(move || gateway.look_at_noticed());
        }
    }

    fn look_at_noticed(&self) {
        loop {
            std::thread::sleep(PAUSE);
            let waiting = std::mem::take(&mut self.0.noticed.lock().waiting);
            for (key, holder) in waiting {
                if let Err(error) = self.look_for_missing(&key, holder) {
                    tracing::warn!("{key}: looking for missing copies: {error}");
                }
            }
            let mut state = self.0.noticed.lock();
            if state.waiting.is_empty() {
                state.attended = false;
                return;
            }
        }
    }

    fn look_for_missing(&self, key: &Key, holder: Uuid) -> Result<(), GatewayError> {
        let mut locations = logged(&self.0.branch.read(&key.branch_path(".log"))?);
        locations.insert(holder);
        // A peer's cluster is in no location log; a survey asks it.
        let clusters = self.0.nodes.iter().filter(|member| member.uuid.is_cluster());
        locations.extend(clusters.map(|member| member.uuid.clone()));
        if self.lacks(key, &locations)? {
            let cause = "a node that wants it did not have it when a client asked".to_owned();
            self.0.site.notice_repair(&self.wanting_of(key, &AssociatedFile::default(), cause))?;
        }
        Ok(())
    }
}
