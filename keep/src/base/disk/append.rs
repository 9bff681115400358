//! Writes a stream of bytes at the end of a file, off the runtime.

use std::fs::File;
use std::io::{self, Write};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;

use super::timed_out;
use crate::base::stream::{Budget, Counted, Lane, Work};

/// Bytes that may wait for the disk.
const WAITING: u32 = 1 << 20;

/// Bytes after which they are made durable, while more come: the sync at the end is then short, whatever the size of the
/// content, and no more than twice as much waits in memory for the disk.
const SYNC: usize = 32 << 20;

/// A file that bytes are added to.
#[derive(Debug)]
pub struct Appender {
    lane: Lane<Writing>,
    budget: Budget,
    limit: Duration,
    failed: tokio::sync::watch::Receiver<bool>,
}

#[derive(Debug)]
struct Writing {
    file: File,
    /// Bytes that came since the last sync began.
    unsynced: usize,
    syncing: Option<JoinHandle<io::Result<()>>>,
    outcome: io::Result<()>,
    failed: tokio::sync::watch::Sender<bool>,
}

impl Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.unsynced += bytes.len();
        if self.unsynced >= SYNC {
            self.unsynced = 0;
            self.synced()?;
            let file = self.file.try_clone()?;
            self.syncing = Some(std::thread::Builder::new().name("sync".into()).spawn(move || file.sync_data())?);
        }
        Ok(())
    }

    /// Waits for the sync that was begun: only whoever asks first is told what the disk failed to write.
    fn synced(&mut self) -> io::Result<()> {
        let Some(syncing) = self.syncing.take() else { return Ok(()) };
        syncing.join().unwrap_or_else(|_| Err(io::Error::other("the task that synced ended unexpectedly")))
    }
}

impl Work for Writing {
    fn take(&mut self, bytes: Counted) {
        if self.outcome.is_ok() {
            self.outcome = self.write(&bytes.bytes);
            if self.outcome.is_err() {
                self.failed.send_replace(true);
            }
        }
    }
}

impl Appender {
    /// Makes a writer that goes on where `file` stands; a disk that has not answered after `limit` is an error.
    pub fn new(file: File, limit: Duration) -> Self {
        let (send, failed) = tokio::sync::watch::channel(false);
        let lane = Lane::new(Writing { file, unsynced: 0, syncing: None, outcome: Ok(()), failed: send });
        Self { lane, budget: Budget::new(WAITING), limit, failed }
    }

    /// Takes the next bytes; waits while the disk cannot keep up. Tells whether all went well so far: what went wrong is
    /// the answer of [`Appender::finish`].
    pub async fn write(&self, bytes: Bytes) -> io::Result<bool> {
        let room = tokio::time::timeout(self.limit, self.budget.take(bytes)).await;
        self.lane.push(room.map_err(|_| timed_out(self.limit))?);
        Ok(!*self.failed.borrow())
    }

    /// Runs `ending` on the file when all bytes are in it, off the runtime.
    pub async fn finish<T: Send + 'static>(
        self,
        ending: impl FnOnce(File) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let limit = self.limit;
        let ended = self.lane.finish(move |mut writing| {
            let synced = writing.synced();
            writing.outcome.and(synced).and_then(|()| ending(writing.file))
        });
        match tokio::time::timeout(limit, ended).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(io::Error::other("the task ended unexpectedly")),
            Err(_) => Err(timed_out(limit)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use futures_util::TryStreamExt;

    use super::super::{Part, stream};
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn what_is_appended_is_read_back_from_any_part() {
        let dir = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..3_000_000u32).map(|at| ((at * 7) >> 3) as u8).collect();
        let mut parts = Vec::new();
        for (number, half) in content.chunks(1_700_000).enumerate() {
            let path = dir.path().join(number.to_string());
            let file = Appender::new(File::create(&path).unwrap(), LIMIT);
            for piece in half.chunks(99_999) {
                assert!(file.write(Bytes::copy_from_slice(piece)).await.unwrap());
            }
            file.finish(|file| file.sync_all()).await.unwrap();
            parts.push(Part { path, file: None, from: 0, size: half.len() as u64 });
        }
        parts[0].from = 1_600_001;
        parts[0].size = 99_999;
        let read: Vec<Bytes> = stream(parts, LIMIT).try_collect().await.unwrap();
        assert!(read.concat() == content[1_600_001..]);
    }

    #[tokio::test]
    async fn a_file_that_is_too_short_is_an_error_after_what_there_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("short");
        File::create(&path).unwrap().write_all_at(&[7; 2 << 20], 0).unwrap();
        let part = Part { path, file: None, from: 0, size: 3 << 20 };
        let read: Result<Vec<Bytes>, _> = stream(vec![part], LIMIT).try_collect().await;
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn what_went_wrong_is_told_at_the_end() {
        let full = Appender::new(File::options().write(true).open("/dev/full").unwrap(), LIMIT);
        for _ in 0..100 {
            full.write(vec![0; 100_000].into()).await.unwrap();
        }
        let error = full.finish(|_| Ok(())).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
