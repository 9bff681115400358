//! PROGRESS, often enough for a meter and not more.

use std::time::{Duration, Instant};

use annex_protocol::external::RemoteRequest;

use super::host::{Ended, Host};

/// Between two reports; git-annex wants one at least every second or so.
const PAUSE: Duration = Duration::from_millis(100);

/// Reports how far a transfer is.
pub(super) struct Progress<'a> {
    host: &'a Host,
    bytes: u64,
    reported: Option<(u64, Instant)>,
}

impl<'a> Progress<'a> {
    /// Begins at `bytes` of the file: 0, or where an earlier transfer stopped.
    pub(super) fn at(host: &'a Host, bytes: u64) -> Self {
        Self { host, bytes, reported: None }
    }

    /// Counts more bytes, and reports if it is time.
    pub(super) async fn add(&mut self, bytes: usize) -> Result<(), Ended> {
        self.bytes += bytes as u64;
        if self.reported.is_none_or(|(_, at)| at.elapsed() >= PAUSE) { self.report().await } else { Ok(()) }
    }

    /// Reports the end, unless that was said already.
    pub(super) async fn finish(&mut self) -> Result<(), Ended> {
        if self.reported.is_some_and(|(bytes, _)| bytes == self.bytes) { Ok(()) } else { self.report().await }
    }

    async fn report(&mut self) -> Result<(), Ended> {
        self.reported = Some((self.bytes, Instant::now()));
        self.host.tell(RemoteRequest::Progress { bytes: self.bytes }).await
    }
}
