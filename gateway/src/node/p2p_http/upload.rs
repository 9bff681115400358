//! putoffset and put.
//!
//! Source: `docs/spec/p2p-http.md` §3.3 and §3.4.

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::p2p_http::encode_value;
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use keep_store::base::stream::Piece;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use tokio::sync::watch;

use super::body::Streamed;
use super::client::Client;
use super::repository::{DATA_LENGTH, Repository, uuids};
use crate::node::error::NodeError;
use crate::node::foreign::NOT_STORED;
use crate::node::port::{ByteStream, Upload};
use crate::node::window::Window;

/// An upload in one request.
pub(super) struct HttpUpload {
    repository: Repository,
    key: Key,
    file: AssociatedFile,
    /// Uploads of the same content follow this one until it ends.
    _turn: watch::Sender<()>,
    /// The server has the content already.
    there: bool,
    window: Window,
    request: Option<Streamed>,
    others: Vec<String>,
}

#[derive(Deserialize)]
struct Offset {
    offset: Option<u64>,
    #[serde(default)]
    alreadyhave: bool,
    #[serde(default)]
    plusuuids: Vec<String>,
}

#[derive(Deserialize)]
struct Stored {
    stored: bool,
    #[serde(default)]
    plusuuids: Vec<String>,
}

impl HttpUpload {
    pub(super) async fn start(
        repository: &Repository,
        key: &Key,
        file: &AssociatedFile,
        turn: watch::Sender<()>,
    ) -> Result<Self, NodeError> {
        let client = repository.client().await?;
        // Version 0 has no way to ask; what version it is, any question tells.
        let from_start = Offset { offset: Some(0), alreadyhave: false, plusuuids: Vec::new() };
        let answer: Offset = match client.version() {
            0 => from_start,
            _ => match client.ask(&repository.peer, "putoffset", key).await {
                Err(_) if client.version() == 0 => from_start,
                answer => answer?,
            },
        };
        let (repository, key, offset) = (repository.clone(), key.clone(), answer.offset.unwrap_or_default());
        let (there, others) = (answer.alreadyhave, answer.plusuuids);
        let file = file.clone();
        Ok(Self { repository, key, file, _turn: turn, there, window: Window::new(offset), request: None, others })
    }

    /// Returns the request under way, and begins it unless that was done.
    fn request(&mut self, client: &Client) -> &mut Streamed {
        self.request.get_or_insert_with(|| {
            let key = ("key", encode_value(self.key.as_bytes()));
            let mut query = vec![key, ("offset", self.window.offset().to_string())];
            query.extend(self.file.decode().map(|file| ("associatedfile", encode_value(&file))));
            let request = client.request(Method::POST, &self.repository.peer, "put", &query);
            let length = self.window.length().to_string();
            let request = request.header(DATA_LENGTH, length).header(CONTENT_TYPE, "application/octet-stream");
            Streamed::start(request)
        })
    }

    /// Ends the request where it is. The server keeps what it has.
    async fn leave(mut self) -> Result<(), NodeError> {
        if let Some(request) = self.request.take() {
            let patience = self.repository.client().await?.patience;
            request.end(patience.check(self.window.size())).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Upload for HttpUpload {
    async fn kept(&self) -> Result<ByteStream, NodeError> {
        Ok(stream::empty().boxed())
    }

    async fn restart(&mut self) -> Result<(), NodeError> {
        Ok(())
    }

    async fn announce(&mut self, size: u64) -> Result<(), NodeError> {
        self.window.announce(size);
        Ok(())
    }

    async fn piece(&mut self, piece: Piece) -> Result<(), NodeError> {
        let Piece::Data(bytes) = piece else { return Ok(()) };
        let bytes = self.window.take(bytes)?;
        if self.there || bytes.is_empty() && self.window.held().is_none() {
            return Ok(());
        }
        let repository = self.repository.clone();
        let client = repository.client().await?;
        if !self.request(client).send(bytes, client.patience.progress).await?
            && let Some(request) = self.request.take()
        {
            // It may have got the content from somebody else meanwhile.
            let answer: Stored = client.read(request.end(client.patience.answer).await?).await?;
            if !answer.stored {
                return Err(NodeError::Failed("it broke the upload off".to_owned()));
            }
            (self.there, self.others) = (true, answer.plusuuids);
        }
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<Vec<Uuid>, NodeError> {
        let held = self.window.last()?;
        let size = self.window.size();
        if !self.there {
            let repository = self.repository.clone();
            let client = repository.client().await?;
            let end = async {
                // Whether it took the last byte, its answer tells.
                let _ = self.request(client).send(held, client.patience.progress).await?;
                let Some(request) = self.request.take() else { return Ok(Vec::new()) };
                let answer: Stored = client.read(request.end(client.patience.check(size)).await?).await?;
                if answer.stored { Ok(answer.plusuuids) } else { Err(NodeError::Failed(NOT_STORED.to_owned())) }
            };
            self.others = match end.await {
                Ok(others) => others,
                // The answer may have been lost, and not the content.
                Err(NodeError::Unreachable(text)) => match repository.present(&self.key).await {
                    Ok(true) => Vec::new(),
                    _ => return Err(NodeError::Unreachable(text)),
                },
                Err(error) => return Err(error),
            };
        }
        Ok(uuids(&self.others))
    }

    async fn suspend(self: Box<Self>) -> Result<(), NodeError> {
        self.leave().await
    }

    /// What the server has of the content stays there, and the next upload may find it wrong: the only way to have it
    /// taken away is to send all, and a server that trusts its clients would store that unread.
    async fn abort(self: Box<Self>) -> Result<(), NodeError> {
        self.leave().await
    }
}
