//! A stream of bytes from files.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::task::JoinHandle;

use super::timed_out;

/// A file, and which of its bytes belong to the stream.
#[derive(Debug)]
pub struct Part {
    /// Where it is, if it is to be opened when its turn comes.
    pub path: PathBuf,
    /// The file, if it is open already.
    pub file: Option<File>,
    /// Its first byte that belongs to the stream.
    pub from: u64,
    /// How many bytes belong to the stream.
    pub size: u64,
}

/// Bytes in one piece of a stream.
const CHUNK: u64 = 256 << 10;

/// Pieces read by one visit to a blocking thread. One batch is given out while the next is read.
const BATCH: usize = 4;

/// Returns the bytes of the parts, one after the other.
///
/// Ends in an error when a file is shorter than its part or the disk has not answered for `limit`. At most 2 MiB are
/// in memory.
pub fn stream(parts: Vec<Part>, limit: Duration) -> BoxStream<'static, io::Result<Bytes>> {
    let reading = Reading { parts: parts.into(), done: 0 };
    let state = (VecDeque::new(), Some(reading), None, limit);
    stream::unfold(state, async |(mut ready, mut reading, mut running, limit)| {
        loop {
            if let Some(bytes) = ready.pop_front() {
                return Some((Ok(bytes), (ready, reading, running, limit)));
            }
            let next = running.take().or_else(|| reading.take().map(Reading::start))?;
            match tokio::time::timeout(limit, next).await {
                Ok(Ok((left, Ok(batch)))) if batch.is_empty() => {
                    drop(left);
                    return None;
                }
                Ok(Ok((left, Ok(batch)))) => {
                    ready = batch.into();
                    running = Some(left.start());
                }
                Ok(Ok((_, Err(error)))) => return Some((Err(error), (ready, None, None, limit))),
                Ok(Err(_)) => {
                    return Some((Err(io::Error::other("the task ended unexpectedly")), (ready, None, None, limit)));
                }
                Err(_) => return Some((Err(timed_out(limit)), (ready, None, None, limit))),
            }
        }
    })
    .boxed()
}

struct Reading {
    parts: VecDeque<Part>,
    /// Bytes of the first part that were read.
    done: u64,
}

type Running = JoinHandle<(Reading, io::Result<Vec<Bytes>>)>;

impl Reading {
    fn start(mut self) -> Running {
        tokio::task::spawn_blocking(move || {
            let batch = self.batch();
            (self, batch)
        })
    }

    /// Reads some pieces; none at the end.
    fn batch(&mut self) -> io::Result<Vec<Bytes>> {
        let mut batch = Vec::with_capacity(BATCH);
        while batch.len() < BATCH
            && let Some(part) = self.parts.front_mut()
        {
            if self.done == part.size {
                self.parts.pop_front();
                self.done = 0;
                continue;
            }
            let mut file = match part.file.take() {
                Some(file) => file,
                None => File::open(&part.path)?,
            };
            if self.done == 0 {
                file.seek(SeekFrom::Start(part.from))?;
            }
            let size = (part.size - self.done).min(CHUNK);
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
            let read = (&file).take(size).read_to_end(&mut bytes)? as u64;
            if read < size {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.done += read;
            part.file = Some(file);
            batch.push(bytes.into());
        }
        Ok(batch)
    }
}
