//! A machine's clocks that go with tokio's time, so that a test which pauses that one pauses all.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use keep_store::base::clock::{Clock, SharedClock};
use tokio::time::Instant;

/// The wall clock when a test begins, in seconds since the epoch.
const BEGINNING: u64 = 1_800_000_000;

/// How long the machine has been up by then.
const UP: Duration = Duration::from_secs(1000);

/// The clocks of a machine that goes through tokio's time.
#[derive(Debug)]
pub(crate) struct TokioClock(Instant);

impl TokioClock {
    /// Makes the clocks of a test that begins now.
    pub(crate) fn shared() -> SharedClock {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for TokioClock {
    fn wall(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(BEGINNING) + self.0.elapsed()
    }

    fn since_boot(&self) -> io::Result<Duration> {
        Ok(UP + self.0.elapsed())
    }

    fn boot(&self) -> io::Result<Arc<str>> {
        Ok("the only one".into())
    }
}
