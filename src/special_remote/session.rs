//! The whole conversation of one process: negotiation, and lines handed to jobs.

use std::collections::HashMap;
use std::io::BufRead;
use std::sync::Arc;

use annex_protocol::external::{Extension, Extensions, HostMessage, Job, ParseError, RemoteRequest, Request, Response};
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::host::{Ended, Host};
use super::input;
use super::job;
use super::output::{Closed, Output};
use super::shared::Shared;

/// The extensions that we use.
const OURS: [Extension; 3] = [Extension::Info, Extension::UnavailableResponse, Extension::Async];

/// A job has at most one request in flight, and one question of ours.
const QUEUE: usize = 4;

/// Speaks with a host until it closes its side, or cannot go on.
///
/// What is under way when the host goes away is given up; nothing half-stored ever counts as present.
pub async fn serve(input: impl BufRead + Send + 'static, output: impl AsyncWrite + Unpin + Send + 'static) {
    let mut lines = input::lines(input);
    let (output, writer) = Output::start(output);
    let mut session = Session::new(output.clone());
    let ended = session.run(&mut lines).await;
    session.jobs.clear();
    session.running.shutdown().await;
    drop(session);
    if let Err(Ended::Broken(text)) = ended {
        // The host may be gone; then nobody needs to be told.
        let _gone = output.fatal(&text).await;
    }
    drop(output);
    let _panicked = writer.await;
}

struct Session {
    shared: Arc<Shared>,
    output: Output,
    /// Lines carry job numbers.
    tagged: bool,
    jobs: HashMap<Option<Job>, mpsc::Sender<HostMessage>>,
    running: JoinSet<Result<(), Ended>>,
}

impl Session {
    fn new(output: Output) -> Self {
        let shared = Arc::default();
        Self { shared, output, tagged: false, jobs: HashMap::new(), running: JoinSet::new() }
    }

    async fn run(&mut self, lines: &mut mpsc::Receiver<Vec<u8>>) -> Result<(), Ended> {
        self.output.ask(None, RemoteRequest::Version { number: 2 }).await?;
        loop {
            tokio::select! {
                line = lines.recv() => match line {
                    Some(line) => self.take(&line).await?,
                    None => return Ok(()),
                },
                Some(ended) = self.running.join_next() => match ended {
                    Ok(ended) => ended?,
                    Err(_) => return Err(Ended::Broken("the task of a job ended unexpectedly".into())),
                },
                () = self.output.closed() => return Err(Closed.into()),
            }
        }
    }

    async fn take(&mut self, line: &[u8]) -> Result<(), Ended> {
        let (job, text) = match Job::parse(line).filter(|_| self.tagged) {
            Some((job, text)) => (Some(job), text),
            None => (None, line),
        };
        match HostMessage::parse(text) {
            Ok(HostMessage::Error(text)) => {
                tracing::warn!("git-annex says: {}", text.as_bytes().escape_ascii());
                Err(Ended::Quietly)
            }
            _ if self.tagged && job.is_none() => Err(Ended::unreadable("a line without a job number", line)),
            Ok(HostMessage::Request(Request::Extensions { list })) if self.jobs.is_empty() => {
                let list = Extensions::negotiate(&list, &OURS);
                self.output.respond(None, Response::Extensions { list: list.clone() }).await?;
                self.tagged = list.contains(Extension::Async);
                self.shared.negotiated(list);
                Ok(())
            }
            Ok(message) => self.hand_over(job, message),
            Err(ParseError::UnknownCommand) => Ok(self.output.respond(job, Response::UnsupportedRequest).await?),
            Err(ParseError::Malformed) => Err(Ended::unreadable("a line that cannot be understood", line)),
        }
    }

    fn hand_over(&mut self, job: Option<Job>, message: HostMessage) -> Result<(), Ended> {
        let messages = self.jobs.entry(job).or_insert_with(|| {
            let (send, receive) = mpsc::channel(QUEUE);
            let host = Host::new(job, receive, self.output.clone());
            self.running.spawn(job::run(host, Arc::clone(&self.shared)));
            send
        });
        // A job that ended reports its reason itself. A full queue means that the host does not wait for answers.
        match messages.try_send(message) {
            Err(mpsc::error::TrySendError::Full(_)) => Err(Ended::Broken("too many requests at once".into())),
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
        }
    }
}
