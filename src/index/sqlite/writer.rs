//! The thread that writes: one transaction for all that waits, synced if one of them asks for it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use crate::index::IndexError;

use super::open::failure;

/// Gathers writes and commits them together, so that many of them cost one sync.
#[derive(Debug)]
pub(super) struct Writer {
    path: Arc<PathBuf>,
    jobs: mpsc::Sender<Job>,
}

struct Job {
    work: Work,
    durable: Durable,
}

/// When what was written is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durable {
    Now,
    /// With the next write that is durable, or as the system has it. Writes never become durable out of their order.
    Soon,
}

/// Runs inside the transaction, or is told that there is none; what it returns is told how the transaction ended.
type Work = Box<dyn FnOnce(Result<&Connection, &rusqlite::Error>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Result<(), &rusqlite::Error>) + Send>;

/// Writes in one transaction, at most: others wait for the lock meanwhile.
const TOGETHER: usize = 256;

impl Writer {
    pub(super) fn start(mut connection: Connection, path: &Path) -> Result<Self, IndexError> {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let run = move || {
            while let Ok(first) = waiting.recv() {
                let more = waiting.try_iter().take(TOGETHER - 1);
                commit(&mut connection, std::iter::once(first).chain(more).collect());
            }
        };
        let path = Arc::new(path.to_path_buf());
        let started = std::thread::Builder::new().name("index".into()).spawn(run);
        started.map_err(|e| IndexError::Failed { path: path.to_path_buf(), reason: e.to_string() })?;
        Ok(Self { path, jobs })
    }

    /// Runs `work` in a transaction; returns when it is durable. A cancelled call is carried out all the same.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, IndexError> {
        self.run(Durable::Now, work).await
    }

    /// The same, but returns as soon as everybody sees what was written: for what may happen again after the machine died.
    pub(super) async fn write_soon<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, IndexError> {
        self.run(Durable::Soon, work).await
    }

    async fn run<T: Send + 'static>(
        &self,
        durable: Durable,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, IndexError> {
        let (send, receive) = oneshot::channel();
        let path = Arc::clone(&self.path);
        let work: Work = Box::new(move |db| {
            let done = match db {
                Ok(db) => nested(db, work).map_err(|error| failure(&path, &error)),
                Err(error) => Err(failure(&path, error)),
            };
            Box::new(move |committed| {
                let answer = match committed {
                    Ok(()) => done,
                    Err(error) => done.and(Err(failure(&path, error))),
                };
                let _nobody_waits = send.send(answer);
            })
        });
        let lost = || IndexError::Failed { path: self.path.to_path_buf(), reason: "the work was lost".into() };
        self.jobs.send(Job { work, durable }).map_err(|_| lost())?;
        receive.await.map_err(|_| lost())?
    }
}

fn commit(connection: &mut Connection, jobs: Vec<Job>) {
    let synced = jobs.iter().any(|job| job.durable == Durable::Now);
    // Each time, so that no failure in between leaves the wrong one to the next.
    let synchronous = connection.pragma_update(None, "synchronous", if synced { "full" } else { "normal" });
    let begun = synchronous.and_then(|()| connection.transaction_with_behavior(TransactionBehavior::Immediate));
    let transaction = match begun {
        Ok(transaction) => transaction,
        Err(error) => {
            return jobs.into_iter().for_each(|job| (job.work)(Err(&error))(Err(&error)));
        }
    };
    let answers: Vec<Answer> = jobs.into_iter().map(|job| (job.work)(Ok(&transaction))).collect();
    let committed = transaction.commit();
    for answer in answers {
        answer(committed.as_ref().copied());
    }
}

/// Runs `work` so that its failure undoes it alone.
fn nested<T>(db: &Connection, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    db.execute_batch("SAVEPOINT one")?;
    match work(db) {
        Ok(value) => db.execute_batch("RELEASE one").map(|()| value),
        Err(error) => {
            db.execute_batch("ROLLBACK TO one; RELEASE one")?;
            Err(error)
        }
    }
}
