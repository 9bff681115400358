//! When waiting for a program ends.

use std::time::Duration;

/// When waiting for a program ends.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// For a new program's first line.
    pub start: Duration,
    /// For an answer.
    pub answer: Duration,
    /// Between two signs of progress of a transfer that shows some.
    pub progress: Duration,
    /// Bytes a second that a transfer which shows no progress has to move, after the time for an answer.
    pub slowest: u64,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(20),
            answer: Duration::from_secs(60),
            progress: Duration::from_secs(60),
            slowest: 1 << 20,
        }
    }
}

impl Times {
    /// Returns the same with this for the longest silence.
    #[must_use]
    pub fn with_silence(self, silence: Duration) -> Self {
        Self { start: self.start.min(silence), answer: silence, progress: silence, ..self }
    }
}
