//! The thread that writes: one transaction for all that waits, synced if one of them asks for it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use super::open::failure;
use crate::index::IndexError;

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
    /// Durable with the next synced write, or when the system writes it. Writes become durable in their order.
    Soon,
}

/// Runs inside the transaction, or is told that there is none.
type Work = Box<dyn FnOnce(Result<&Connection, &rusqlite::Error>) -> Done + Send>;

/// What became of a piece of work.
struct Done {
    /// It is to be committed.
    well: bool,
    tell: Tell,
}

/// Is told how the transaction ended.
type Tell = Box<dyn FnOnce(Result<(), &rusqlite::Error>) + Send>;

/// Writes in one transaction, at most: others wait for the lock meanwhile.
const MOST_WRITES: usize = 256;

impl Writer {
    pub(super) fn start(mut connection: Connection, path: &Path) -> Result<Self, IndexError> {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let run = move || {
            let mut synced = None;
            while let Ok(first) = waiting.recv() {
                let more = waiting.try_iter().take(MOST_WRITES - 1);
                commit(&mut connection, &mut synced, std::iter::once(first).chain(more).collect());
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
                Ok(db) => work(db).map_err(|error| failure(&path, &error)),
                Err(error) => Err(failure(&path, error)),
            };
            let well = done.is_ok();
            let tell = Box::new(move |committed: Result<(), &rusqlite::Error>| {
                let answer = match committed {
                    Ok(()) => done,
                    Err(error) => done.and(Err(failure(&path, error))),
                };
                let _nobody_waits = send.send(answer);
            });
            Done { well, tell }
        });
        let lost =
            || IndexError::Failed { path: self.path.to_path_buf(), reason: "the task ended unexpectedly".into() };
        self.jobs.send(Job { work, durable }).map_err(|_| lost())?;
        receive.await.map_err(|_| lost())?
    }
}

/// Commits jobs together. `synced` is what the connection was last told of the disk, if that is known.
fn commit(connection: &mut Connection, synced: &mut Option<bool>, jobs: Vec<Job>) {
    let begun = sync(connection, synced, jobs.iter().any(|job| job.durable == Durable::Now))
        .and_then(|()| connection.transaction_with_behavior(TransactionBehavior::Immediate));
    let transaction = match begun {
        Ok(transaction) => transaction,
        Err(error) => {
            return jobs.into_iter().for_each(|job| ((job.work)(Err(&error)).tell)(Err(&error)));
        }
    };
    let alone = jobs.len() == 1;
    let (mut all, mut broken) = (Vec::with_capacity(jobs.len()), None);
    for job in jobs {
        if alone {
            all.push((job.work)(Ok(&transaction)));
            continue;
        }
        let (done, error) = nested(&transaction, job);
        all.push(done);
        broken = broken.or(error);
    }
    let committed = match broken {
        Some(error) => transaction.rollback().and(Err(error)),
        None if all.iter().any(|done| done.well) => transaction.commit(),
        None => transaction.rollback(),
    };
    for done in all {
        (done.tell)(committed.as_ref().copied());
    }
}

/// Has the connection wait for the disk at the end of each transaction, or not.
fn sync(connection: &Connection, synced: &mut Option<bool>, wanted: bool) -> rusqlite::Result<()> {
    if *synced != Some(wanted) {
        *synced = None;
        connection.pragma_update(None, "synchronous", if wanted { "full" } else { "normal" })?;
        *synced = Some(wanted);
    }
    Ok(())
}

/// Runs a job so that its failure undoes it alone. After an error of the database the transaction cannot be committed.
fn nested(db: &Connection, job: Job) -> (Done, Option<rusqlite::Error>) {
    let run = |sql: &str| db.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map(drop);
    if let Err(error) = run("SAVEPOINT one") {
        return ((job.work)(Err(&error)), Some(error));
    }
    let done = (job.work)(Ok(db));
    let undone = if done.well { Ok(()) } else { run("ROLLBACK TO one") };
    let ended = undone.and_then(|()| run("RELEASE one"));
    (done, ended.err())
}
