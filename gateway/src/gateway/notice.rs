//! Copies that are found missing when a client asks for a key.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;

use super::locations::logged;
use super::{Gateway, GatewayError, Shared};

/// Keys of which a copy may be missing, each with a node that has it.
#[derive(Default)]
pub(super) struct Noticed(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    keys: Vec<(Key, Uuid)>,
    /// Whether a task checks those that wait.
    attended: bool,
}

/// The most keys that wait. Further ones are left to the next survey.
const MOST_WAITING: usize = 10_000;

/// Keys are gathered for this long and checked together: one by one, the checks would take as long as the answers.
const GATHERING_TIME: Duration = Duration::from_millis(5);

impl Noticed {
    /// Puts a key that is on one node into the repair queue if others should have it and have it not by the location log.
    ///
    /// Whoever asks for presence is told that the key is there, and then stores nothing. The answer does not wait for this.
    pub(super) fn add(&self, gateway: &Gateway, key: &Key, holder: &Uuid) {
        let mut waiting_keys = self.lock();
        if waiting_keys.keys.len() >= MOST_WAITING {
            return;
        }
        waiting_keys.keys.push((key.clone(), holder.clone()));
        if !std::mem::replace(&mut waiting_keys.attended, true) {
            let gateway = gateway.clone();
            // A process that ends waits for it.
            tokio::task::spawn_blocking(move || gateway.shared.noticed.look_at_all(&gateway));
        }
    }

    fn look_at_all(&self, gateway: &Gateway) {
        loop {
            std::thread::sleep(GATHERING_TIME);
            let waiting = std::mem::take(&mut self.lock().keys);
            for (key, holder) in waiting {
                if let Err(error) = look_for_missing(gateway, &key, holder) {
                    tracing::warn!("{key}: looking for missing copies: {error}");
                }
            }
            let mut waiting_keys = self.lock();
            if waiting_keys.keys.is_empty() {
                waiting_keys.attended = false;
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn look_for_missing(gateway: &Gateway, key: &Key, holder: Uuid) -> Result<(), GatewayError> {
    let Shared { site, branch, nodes, placer, queue, .. } = &*gateway.shared;
    let mut locations = logged(&branch.read(&key.branch_path(".log"))?);
    locations.insert(holder);
    // What other clusters have stands in no log; a survey asks them.
    let clusters = nodes.iter().filter(|member| member.uuid.is_cluster());
    locations.extend(clusters.map(|member| member.uuid.clone()));
    if placer.lacks(key, &locations)? {
        let cause = "a node that wants it did not have it when a client asked".to_owned();
        site.notice_repair(&queue.entry(key, &AssociatedFile::default(), cause))?;
    }
    Ok(())
}
