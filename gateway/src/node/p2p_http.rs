//! A node that is reached by the P2P protocol over HTTP: a server of git-annex, or another gateway.
//!
//! Source: `docs/spec/p2p-http.md`.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::p2p_http::{encode_value, percent_encode};
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use keep_store::base::http_client;
use reqwest::{Method, Response};
use serde::Deserialize;
use tokio::time::timeout;

use super::error::NodeError;
use super::foreign::gives_no_reason;
use super::patience::Patience;
use super::peer::Peer;
use super::port::{ByteStream, Capacity, Content, Hold, Incoming, Node, Onward, Pieces};
use super::probe_key::probe_key;
use super::turns::{Follower, Turn, Turns};

mod body;
mod client;
mod encode;
mod hold;
pub mod kind;
mod repository;
mod upload;

pub use client::{Password, Server};
use hold::HttpHold;
use repository::{DATA_LENGTH, Repository, uuids};
use upload::HttpUpload;

/// A repository behind a P2P server on HTTP. Cloning is cheap.
#[derive(Clone)]
pub struct HttpNode {
    repository: Repository,
    uploads: Arc<Turns>,
}

#[derive(Deserialize)]
struct Removed {
    removed: bool,
    #[serde(default)]
    plusuuids: Vec<String>,
}

impl HttpNode {
    /// Makes the node; nothing is read or connected yet.
    pub fn new(server: Server, peer: Peer, patience: Patience) -> Self {
        Self { repository: Repository::new(server, peer, patience), uploads: Arc::default() }
    }
}

#[async_trait]
impl Node for HttpNode {
    async fn present(&self, key: &Key) -> Result<bool, NodeError> {
        self.repository.present(key).await
    }

    async fn get(&self, key: &Key, offset: u64) -> Result<Option<Content>, NodeError> {
        let client = self.repository.client().await?;
        let call = format!("key/{}", percent_encode(encode_value(key.as_bytes()).as_bytes()));
        let response =
            client.send(Method::GET, &self.repository.peer, &call, &[("offset", offset.to_string())]).await?;
        let expected = key.content_size();
        if let Some(response) = response {
            let length = announced(&response)?;
            if length > 0 {
                let size = offset.checked_add(length).filter(|size| expected.is_none_or(|expected| expected == *size));
                let Some(size) = size else {
                    return Err(NodeError::Damaged(format!("its copy has {length} bytes after byte {offset}")));
                };
                return Ok(Some(Content {
                    size,
                    stream: stream_of(response, length, client.patience),
                    verified: false,
                }));
            }
        }
        // An empty body may mean a key that is not there, or content that ends at the offset.
        let size = expected.unwrap_or(offset);
        match self.present(key).await? {
            true if size > offset => Err(NodeError::Damaged(format!("its copy has no byte {offset}"))),
            true => Ok(Some(Content { size, stream: stream::empty().boxed(), verified: false })),
            false => Ok(None),
        }
    }

    async fn put(&self, key: &Key, file: &AssociatedFile) -> Result<Incoming, NodeError> {
        let started = match self.uploads.take(key) {
            Turn::First(turn) => Pieces::fresh(HttpUpload::start(&self.repository, key, file, turn).await?),
            Turn::After(first) => {
                let (node, key, patience) = (Arc::new(self.clone()), key.clone(), self.repository.patience().answer);
                Pieces::fresh(Follower { node, key, first, patience })
            }
        };
        Ok(Incoming::Pieces(started))
    }

    async fn remove(&self, key: &Key) -> Result<Vec<Uuid>, NodeError> {
        let kept = || NodeError::Locked("it did not remove the content, which may be locked there".to_owned());
        match self.repository.client().await?.ask::<Removed>(&self.repository.peer, "remove", key).await {
            Ok(answer) if answer.removed => Ok(uuids(&answer.plusuuids)),
            Ok(_) => Err(kept()),
            Err(NodeError::Failed(text)) if gives_no_reason(&text) => Err(kept()),
            Err(error) => Err(error),
        }
    }

    /// The protocol knows no way to set content aside.
    async fn set_aside(&self, key: &Key) -> Result<(), NodeError> {
        self.remove(key).await.map(drop)
    }

    async fn lock(&self, key: &Key) -> Result<Option<Box<dyn Hold>>, NodeError> {
        let hold = HttpHold::take(&self.repository, key).await?;
        Ok(hold.map(|hold| Box::new(hold) as Box<dyn Hold>))
    }

    async fn capacity(&self) -> Result<Capacity, NodeError> {
        self.present(&probe_key()?).await.map(|_present| Capacity::default())
    }

    fn onward(&self, gateways: &BTreeSet<Uuid>) -> Onward {
        match self.repository.past(gateways) {
            Some(repository) => Onward::By(Arc::new(Self { repository, uploads: Arc::clone(&self.uploads) })),
            None => Onward::LeadsBack,
        }
    }
}

fn announced(response: &Response) -> Result<u64, NodeError> {
    let length = response.headers().get(DATA_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    length.ok_or_else(|| NodeError::Failed(format!("it sends content without {DATA_LENGTH}")))
}

/// Returns a body's bytes. A body that is shorter than announced ends in an error: the server does not vouch for it.
fn stream_of(response: Response, length: u64, patience: Patience) -> ByteStream {
    let body = response.bytes_stream().boxed();
    let step = move |(mut body, left): (futures_util::stream::BoxStream<'static, reqwest::Result<Bytes>>, u64)| async move {
        if left == 0 {
            return Ok(None);
        }
        match timeout(patience.progress, body.next()).await {
            Ok(Some(Ok(bytes))) => match left.checked_sub(bytes.len() as u64) {
                Some(left) => Ok(Some((bytes, (body, left)))),
                None => Err(io::Error::other("it sent more than it announced")),
            },
            Ok(Some(Err(error))) => Err(io::Error::other(http_client::innermost(error))),
            Ok(None) => Err(io::Error::other("it did not send all that it announced")),
            Err(_elapsed) => Err(io::Error::other("it sent no content for too long")),
        }
    };
    stream::try_unfold((body, length), step).boxed()
}
