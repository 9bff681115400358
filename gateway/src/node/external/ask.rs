//! One request from its first line to its answer, with an end to every wait.

use std::path::PathBuf;
use std::time::Duration;

use annex_protocol::external::{
    Direction, Extension, Extensions, Fit, HostMessage, ProgramMessage, RemoteRequest, Request, Response,
};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::breakdown::Breakdown;
use super::host::Host;
use super::layout::NamedRequest;
use super::process::Channel;
use super::times::Times;

/// What is known of a transfer while it runs, apart from what the program says.
#[derive(Debug, Clone, Default)]
pub(super) struct Watch {
    /// How many bytes are to be moved, if that is known.
    pub(super) size: u64,
    /// The file whose growth shows that something happens.
    pub(super) file: Option<PathBuf>,
    /// Nobody wants the transfer any more.
    pub(super) cancelled: CancellationToken,
}

/// How long a program may still take without a sign of life.
struct Allowance<'a> {
    times: &'a Times,
    size: Option<u64>,
    /// The last number of bytes that it reported.
    reported: u64,
    /// The last length of the file that it writes.
    length: u64,
    until: Instant,
}

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The extensions that this host implements.
const OURS: [Extension; 4] =
    [Extension::Info, Extension::GetGitRemoteName, Extension::UnavailableResponse, Extension::Async];

impl Channel {
    /// Hears a new program's VERSION, and agrees on extensions.
    pub(super) async fn greet(&mut self, times: &Times) -> Result<(), Breakdown> {
        let hello = timeout(times.start, self.receive()).await;
        match hello.map_err(|_| Breakdown::hung("said nothing when it was started", times.start))?? {
            ProgramMessage::RemoteRequest(RemoteRequest::Version { number: 1 | 2 }) => {}
            ProgramMessage::RemoteRequest(RemoteRequest::Version { number }) => {
                let text = annex_protocol::external::Text::of_message("unsupported VERSION");
                let _going = timeout(times.answer, self.send(&HostMessage::Error(text))).await;
                return Err(Breakdown::Broken(format!("it speaks version {number} of the protocol")));
            }
            other => return Err(Breakdown::Broken(format!("it did not begin with VERSION: {other:?}"))),
        }
        let offered: Extensions = OURS.into_iter().collect();
        let request = Request::Extensions { list: offered.clone() };
        let asked = timeout(times.answer, async {
            self.send(&HostMessage::Request(request)).await?;
            self.receive().await
        });
        let list = match asked.await.map_err(|_| Breakdown::hung("did not answer EXTENSIONS", times.answer))?? {
            ProgramMessage::Response(Response::Extensions { list }) => list,
            ProgramMessage::Response(Response::UnsupportedRequest) => Extensions::default(),
            other => return Err(Breakdown::Broken(format!("it answered EXTENSIONS by {other:?}"))),
        };
        if let Some(word) = list.not_in(&offered).next() {
            return Err(Breakdown::Broken(format!(
                "it uses an extension that was not offered: {}",
                word.escape_ascii()
            )));
        }
        if list.contains(Extension::Async) {
            self.process.tag();
        }
        Ok(())
    }

    /// Asks for something and returns the answer, with the program's own questions answered in between.
    pub(super) async fn ask(
        &mut self,
        asked: &NamedRequest,
        host: &Host,
        times: &Times,
        watch: &Watch,
    ) -> Result<Response, Breakdown> {
        self.busy = true;
        let done = self.converse(asked, host, times, watch).await;
        self.busy = done.is_err();
        done
    }

    async fn converse(
        &mut self,
        NamedRequest { request, name }: &NamedRequest,
        host: &Host,
        times: &Times,
        watch: &Watch,
    ) -> Result<Response, Breakdown> {
        if let Some(name) = name {
            self.tell(&HostMessage::Request(Request::Export { name: name.clone() }), times).await?;
        }
        self.tell(&HostMessage::Request(request.clone()), times).await?;
        let mut allowance = Allowance::new(times, request, watch);
        loop {
            let look = allowance.until.min(Instant::now() + LOOK_EVERY);
            let message = tokio::select! {
                message = self.receive() => message?,
                () = tokio::time::sleep_until(look) => {
                    allowance.look(watch).await?;
                    continue;
                }
                // A program of one job can only be stopped; of many, this one goes on until it ends.
                () = watch.cancelled.cancelled(), if !self.process.is_tagged() => return Err(Breakdown::Cancelled),
            };
            match message {
                ProgramMessage::Response(response) => match request.fit(&response) {
                    Fit::Ends => return Ok(response),
                    Fit::Continues => allowance.renew(),
                    Fit::Wrong => return Err(Breakdown::Broken(format!("it answered {request:?} by {response:?}"))),
                },
                ProgramMessage::RemoteRequest(RemoteRequest::Progress { bytes }) => allowance.progress(bytes),
                ProgramMessage::RemoteRequest(question) => {
                    let is_answered = question.is_answered();
                    for answer in host.answer(question).await? {
                        self.tell(&HostMessage::RemoteResponse(answer), times).await?;
                    }
                    if is_answered {
                        allowance.renew();
                    }
                }
                ProgramMessage::Error(text) => {
                    return Err(Breakdown::Broken(format!("it says: {}", String::from_utf8_lossy(text.as_bytes()))));
                }
            }
        }
    }

    /// Sends a message to a program that has to read it in time.
    async fn tell(&self, message: &HostMessage, times: &Times) -> Result<(), Breakdown> {
        match timeout(times.answer, self.send(message)).await {
            Ok(sent) => sent,
            Err(_) => {
                // A part of the line may have been written, so nothing more can be sent to this program.
                self.process.kill("it does not read what it is told");
                Err(Breakdown::hung("did not read what it was told", times.answer))
            }
        }
    }
}

impl<'a> Allowance<'a> {
    fn new(times: &'a Times, request: &Request, watch: &Watch) -> Self {
        let transfer = matches!(request, Request::Transfer { .. } | Request::TransferExport { .. });
        let mut allowance =
            Self { times, size: transfer.then_some(watch.size), reported: 0, length: 0, until: Instant::now() };
        allowance.renew();
        allowance
    }

    /// A program that shows progress has to make some. One that shows none, or has moved all there is, may take as long
    /// as a slow line needs for the whole.
    fn time(&self) -> Duration {
        match self.size {
            None => self.times.answer,
            Some(size) if (1..size).contains(&self.reported.max(self.length)) => self.times.progress,
            Some(size) => self.times.answer + Duration::from_secs(size / self.times.slowest.max(1)),
        }
    }

    fn renew(&mut self) {
        self.until = Instant::now() + self.time();
    }

    fn progress(&mut self, bytes: u64) {
        if bytes != self.reported {
            self.reported = bytes;
            self.renew();
        }
    }

    /// Looks whether the file has grown, and whether time is over.
    async fn look(&mut self, watch: &Watch) -> Result<(), Breakdown> {
        if let Some(file) = &watch.file {
            let length = tokio::fs::metadata(file).await.map_or(0, |found| found.len());
            if length != self.length {
                self.length = length;
                self.renew();
            }
        }
        if Instant::now() < self.until {
            return Ok(());
        }
        Err(Breakdown::hung("gave no sign of life", self.time()))
    }
}

impl NamedRequest {
    /// Returns a request that concerns no key.
    pub(super) fn plain(request: Request) -> Self {
        Self { request, name: None }
    }

    /// Returns what is asked for, for people.
    pub(super) fn what(&self) -> &'static str {
        use Request as R;
        match &self.request {
            R::Transfer { direction, .. } | R::TransferExport { direction, .. } => match direction {
                Direction::Store => "STORE",
                Direction::Retrieve => "RETRIEVE",
            },
            R::CheckPresent { .. } | R::CheckPresentExport { .. } => "CHECKPRESENT",
            R::Remove { .. } | R::RemoveExport { .. } => "REMOVE",
            R::InitRemote => "INITREMOTE",
            _ => "PREPARE",
        }
    }
}
