//! Nodes that gave no answer: later questions wait for them less long, so that a node that hangs costs its deadline
//! once and not for every key.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::error::NodeError;

/// Since when a node has been silent, if it is.
#[derive(Debug, Default)]
pub(crate) struct Silence(Mutex<Option<Instant>>);

/// A silent node is waited for this part of the time, though no less than [`SHORTEST`].
const SHORTER: u32 = 20;
const SHORTEST: Duration = Duration::from_secs(1);

/// After this many times its patience a silent node gets its full time again: it may be slow and not dead.
const FORGIVEN_AFTER: u32 = 10;

impl Silence {
    /// Waits for a node's answer for as long as `patience`, or less if it was silent before. An answer ends the silence.
    pub(super) async fn broken_by<T>(
        &self,
        patience: Duration,
        asking: impl Future<Output = Result<T, NodeError>> + Send,
    ) -> Result<T, NodeError> {
        let began = Instant::now();
        let limit = if self.lasts(patience) { short(patience) } else { patience };
        let answer = timeout(limit, asking).await.unwrap_or_else(|_elapsed| {
            Err(NodeError::Unreachable(match limit == patience {
                true => format!("no answer in {} s", limit.as_secs()),
                false => format!("no answer in {} s, nor in the {} s before", limit.as_secs(), patience.as_secs()),
            }))
        });
        self.note(patience, began, answer.as_ref().err());
        answer
    }

    /// Notes how a question ended that was asked at `began`. A node that could not be reached after a long wait is
    /// silent, too: connections have deadlines of their own.
    pub(crate) fn note(&self, patience: Duration, began: Instant, error: Option<&NodeError>) {
        let silent = matches!(error, Some(NodeError::Unreachable(_))) && began.elapsed() >= short(patience);
        if !silent {
            *self.lock() = None;
        } else if !self.lasts(patience) {
            *self.lock() = Some(Instant::now());
        }
    }

    /// Tells whether a node with this patience gave no answer lately.
    pub(crate) fn lasts(&self, patience: Duration) -> bool {
        self.lock().is_some_and(|since| since.elapsed() < patience * FORGIVEN_AFTER)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn short(patience: Duration) -> Duration {
    (patience / SHORTER).max(SHORTEST).min(patience)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_node_is_waited_for_a_short_time_until_it_answers() {
        let (silence, minute) = (Silence::default(), Duration::from_secs(60));
        let waited = async || {
            let began = Instant::now();
            let error = silence.broken_by(minute, pending::<Result<(), NodeError>>()).await.unwrap_err();
            assert!(error.to_string().contains("no answer in"), "{error}");
            began.elapsed().as_secs()
        };
        assert_eq!([waited().await, waited().await, waited().await], [60, 3, 3]);
        let no = Err::<(), _>(NodeError::Full("no".to_owned()));
        silence.broken_by(minute, ready(no)).await.unwrap_err();
        assert_eq!([waited().await, waited().await], [60, 3], "who says no is not silent");
        let late = async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            Err::<(), _>(NodeError::Unreachable("no connection".to_owned()))
        };
        assert_eq!(silence.broken_by(minute, ready(Ok(1))).await.unwrap(), 1);
        silence.broken_by(minute, late).await.unwrap_err();
        assert_eq!(waited().await, 3, "who cannot even be connected to in time is silent, too");
        let began = Instant::now();
        tokio::time::sleep(minute * FORGIVEN_AFTER).await;
        assert!(!silence.lasts(minute));
        assert_eq!([waited().await, waited().await], [60, 3], "it may only be slow");
        assert!(silence.lasts(minute));
        silence.note(minute, began, None);
        assert!(!silence.lasts(minute), "it has sent content");
    }
}
