//! Lines to the host, from many jobs, one line at a time.

use annex_protocol::external::{Job, ProgramMessage, RemoteRequest, Response, Text};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Where messages go; cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct Output {
    lines: mpsc::Sender<Vec<u8>>,
}

/// The host does not read any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed;

impl Output {
    /// Starts the task that writes; it ends when all clones are dropped, or when writing fails.
    pub(super) fn start(mut writer: impl AsyncWrite + Unpin + Send + 'static) -> (Self, JoinHandle<()>) {
        let (lines, mut waiting) = mpsc::channel::<Vec<u8>>(64);
        let task = tokio::spawn(async move {
            while let Some(line) = waiting.recv().await {
                let written = writer.write_all(&line).await;
                if written.is_err() || (waiting.is_empty() && writer.flush().await.is_err()) {
                    return;
                }
            }
        });
        (Self { lines }, task)
    }

    /// Sends an answer, or a part of one.
    pub(super) async fn respond(&self, job: Option<Job>, response: Response) -> Result<(), Closed> {
        self.send(job, ProgramMessage::Response(response)).await
    }

    /// Sends a question or a remark.
    pub(super) async fn ask(&self, job: Option<Job>, request: RemoteRequest) -> Result<(), Closed> {
        self.send(job, ProgramMessage::RemoteRequest(request)).await
    }

    /// Tells the host that this process is finished, and why.
    pub(super) async fn fatal(&self, text: &str) -> Result<(), Closed> {
        self.send(None, ProgramMessage::Error(Text::of_message(text))).await
    }

    /// Waits until the host does not read any more.
    pub(super) async fn closed(&self) {
        self.lines.closed().await;
    }

    async fn send(&self, job: Option<Job>, message: ProgramMessage) -> Result<(), Closed> {
        let mut line = Vec::new();
        if let Some(job) = job {
            job.write_to(&mut line);
        }
        message.write_to(&mut line);
        self.lines.send(line).await.map_err(|_| Closed)
    }
}
