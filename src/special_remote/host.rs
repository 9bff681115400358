//! The host as one job sees it: what comes from it, and what it is asked and told.

use annex_protocol::external::{HostMessage, Job, RemoteRequest, RemoteResponse, Request, Response, Text, WireKey};
use tokio::sync::mpsc;

use super::output::{Closed, Output};

/// Why a conversation ends before the host closes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// The host is gone, or told us to go.
    Quietly,
    /// The host does not keep to the protocol; it is told so.
    Broken(String),
}

/// One job's side of the conversation.
pub(super) struct Host {
    job: Option<Job>,
    messages: mpsc::Receiver<HostMessage>,
    output: Output,
    /// What EXPORT or IMPORT named last.
    name: Option<Text>,
}

impl Host {
    pub(super) fn new(job: Option<Job>, messages: mpsc::Receiver<HostMessage>, output: Output) -> Self {
        Self { job, messages, output, name: None }
    }

    /// Waits for the job's next request; `None` when the conversation is over.
    pub(super) async fn request(&mut self) -> Result<Option<Request>, Ended> {
        match self.messages.recv().await {
            Some(HostMessage::Request(request)) => Ok(Some(request)),
            Some(_) => Err(Ended::Broken("an answer came that nobody asked for".into())),
            None => Ok(None),
        }
    }

    /// Sends an answer, or a part of one.
    pub(super) async fn respond(&self, response: Response) -> Result<(), Ended> {
        Ok(self.output.respond(self.job, response).await?)
    }

    /// Sends a remark that needs no answer.
    pub(super) async fn tell(&self, remark: RemoteRequest) -> Result<(), Ended> {
        Ok(self.output.ask(self.job, remark).await?)
    }

    /// Asks for a setting; empty when it is not set.
    pub(super) async fn setting(&mut self, name: &str) -> Result<Vec<u8>, Ended> {
        self.value(RemoteRequest::GetConfig { name: Text::of_message(name) }).await
    }

    /// Asks for the password that git-annex keeps under a name; empty when there is none.
    pub(super) async fn password(&mut self, name: &str) -> Result<Vec<u8>, Ended> {
        self.tell(RemoteRequest::GetCreds { name: Text::of_message(name) }).await?;
        match self.messages.recv().await {
            Some(HostMessage::RemoteResponse(RemoteResponse::Creds { password, .. })) => {
                Ok(password.as_bytes().to_vec())
            }
            Some(_) => Err(Ended::Broken("something else than CREDS came as an answer".into())),
            None => Err(Ended::Quietly),
        }
    }

    /// Asks for the URLs of a key that begin with `prefix`.
    pub(super) async fn urls(&mut self, key: &WireKey, prefix: &[u8]) -> Result<Vec<Vec<u8>>, Ended> {
        let mut urls = Vec::new();
        let mut url = self.value(RemoteRequest::GetUrls { key: key.clone(), prefix: Text::of_message(prefix) }).await?;
        while !url.is_empty() {
            urls.push(url);
            url = self.next_value().await?;
        }
        Ok(urls)
    }

    /// Returns the name that EXPORT or IMPORT gave for this request, and forgets it.
    pub(super) fn named(&mut self) -> Option<Text> {
        self.name.take()
    }

    /// Keeps a name for the next request.
    pub(super) fn name(&mut self, name: Text) {
        self.name = Some(name);
    }

    /// Asks something that is answered with one VALUE.
    pub(super) async fn value(&mut self, question: RemoteRequest) -> Result<Vec<u8>, Ended> {
        self.tell(question).await?;
        self.next_value().await
    }

    async fn next_value(&mut self) -> Result<Vec<u8>, Ended> {
        match self.messages.recv().await {
            Some(HostMessage::RemoteResponse(RemoteResponse::Value { text })) => Ok(text.as_bytes().to_vec()),
            Some(_) => Err(Ended::Broken("something else than VALUE came as an answer".into())),
            None => Err(Ended::Quietly),
        }
    }
}

impl Ended {
    pub(super) fn unreadable(what: &str, line: &[u8]) -> Self {
        Self::Broken(format!("{what} came: {}", line.escape_ascii()))
    }
}

impl From<Closed> for Ended {
    fn from(Closed: Closed) -> Self {
        Self::Quietly
    }
}
