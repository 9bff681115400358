//! Requests to a P2P server on HTTP: their URLs, versions, credentials, deadlines and errors.
//!
//! Source: `docs/spec/p2p-http.md` §2 to §5.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};

use annex_protocol::key::Key;
use annex_protocol::p2p_http::{encode_value, percent_encode};
use keep_store::base::http_client;
use reqwest::header::AUTHORIZATION;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::encode::{base, basic};
use crate::node::error::NodeError;
use crate::node::foreign::error_of_peer;
use crate::node::patience::Patience;
use crate::node::peer::Peer;

/// Where a server is, and how it is asked.
#[derive(Debug, Clone)]
pub struct Server {
    /// `annex+http(s)://…`.
    pub url: String,
    /// User and password.
    pub credentials: Option<(String, Password)>,
    /// A file with certificates of authorities that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// Where a password is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Password {
    /// The first line of a file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
}

/// The newest version that we speak.
const NEWEST: u8 = 4;
/// How long an answer other than content may be.
const MAX_ANSWER: usize = 64 << 10;

/// A server, with the connections to it.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    authorization: Option<String>,
    /// The version that the server understood last.
    version: AtomicU8,
    pub(super) patience: Patience,
}

impl Client {
    /// Reads files and makes the client; nothing is connected yet.
    pub(super) async fn new(server: &Server, patience: Patience) -> Result<Self, NodeError> {
        let unusable = |text: String| NodeError::Unreachable(text);
        let base = base(&server.url).ok_or_else(|| unusable(format!("{} is no URL", server.url)))?;
        let authorization = match &server.credentials {
            Some((user, password)) => Some(basic(user, &password.read().await.map_err(unusable)?)),
            None => None,
        };
        let http = http_client::client(patience.connect, server.ca_file.as_deref()).await.map_err(unusable)?;
        let base = base.as_str().trim_end_matches('/').to_owned();
        Ok(Self { http, base, authorization, version: AtomicU8::new(NEWEST), patience })
    }

    /// Returns the version that the server understood last; before any request, the newest.
    pub(super) fn version(&self) -> u8 {
        self.version.load(Ordering::Relaxed)
    }

    /// Makes a request about a key; `call` is what stands after the version.
    pub(super) fn request(&self, method: Method, peer: &Peer, call: &str, query: &[(&str, String)]) -> RequestBuilder {
        self.request_at(self.version(), method, peer, call, query)
    }

    fn request_at(
        &self,
        version: u8,
        method: Method,
        peer: &Peer,
        call: &str,
        query: &[(&str, String)],
    ) -> RequestBuilder {
        let mut url = format!(
            "{}/git-annex/{}/v{version}/{call}",
            self.base,
            percent_encode(encode_value(peer.uuid.as_bytes()).as_bytes())
        );
        let own = [("clientuuid", encode_value(peer.client.as_bytes()))];
        let bypass = peer.bypass.iter().map(|uuid| ("bypass", encode_value(uuid.as_bytes())));
        let all = own.into_iter().chain(bypass).chain(query.iter().cloned());
        for (position, (name, value)) in all.enumerate() {
            url.push_str(&format!(
                "{}{name}={}",
                if position == 0 { '?' } else { '&' },
                percent_encode(value.as_bytes())
            ));
        }
        let request = self.http.request(method, url);
        match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization),
            None => request,
        }
    }

    /// Makes a request of the newest version that the server understands. `None` if it is found at no version.
    pub(super) async fn send(
        &self,
        method: Method,
        peer: &Peer,
        call: &str,
        query: &[(&str, String)],
    ) -> Result<Option<Response>, NodeError> {
        for version in (0..=self.version()).rev() {
            let request = self.request_at(version, method.clone(), peer, call, query);
            let response = self.within(self.patience.answer, request.send()).await?;
            if response.status() != StatusCode::NOT_FOUND {
                self.version.store(version, Ordering::Relaxed);
                return Ok(Some(good(response).await?));
            }
        }
        Ok(None)
    }

    /// Asks about a key with a POST, and reads the answer.
    pub(super) async fn ask<T: DeserializeOwned>(&self, peer: &Peer, call: &str, key: &Key) -> Result<T, NodeError> {
        let query = [("key", encode_value(key.as_bytes()))];
        match self.send(Method::POST, peer, call, &query).await? {
            Some(response) => self.read(response).await,
            None => Err(NodeError::Failed(format!("it does not serve the repository {}", peer.uuid))),
        }
    }

    /// Reads an answer.
    pub(super) async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, NodeError> {
        let text = self.within(self.patience.answer, http_client::text(response, MAX_ANSWER)).await?;
        serde_json::from_slice(&text)
            .map_err(|error| NodeError::Failed(format!("its answer is not understood: {error}")))
    }

    /// Waits for what the server does, and no longer.
    pub(super) async fn within<T>(
        &self,
        patience: std::time::Duration,
        work: impl Future<Output = reqwest::Result<T>>,
    ) -> Result<T, NodeError> {
        match timeout(patience, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(NodeError::Unreachable(http_client::innermost(error))),
            Err(_elapsed) => Err(NodeError::Unreachable(format!("it did not answer for {} s", patience.as_secs_f32()))),
        }
    }
}

/// Passes on a good answer; another becomes the error that it stands for.
pub(super) async fn good(response: Response) -> Result<Response, NodeError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let said = http_client::text(response, MAX_ANSWER).await.unwrap_or_default();
    Err(match status {
        StatusCode::UNAUTHORIZED => NodeError::Denied("it does not accept this user and password".to_owned()),
        StatusCode::FORBIDDEN => NodeError::Denied("it does not allow that".to_owned()),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            NodeError::Unreachable(format!("it answered {status}"))
        }
        _ if said.is_empty() => NodeError::Failed(format!("it answered {status}")),
        _ => {
            let error = error_of_peer(&said);
            // git-annex has one status for everything; a gateway of ours says by it what its text is about.
            match status {
                StatusCode::INSUFFICIENT_STORAGE => NodeError::Full(error.reason().to_owned()),
                StatusCode::LOCKED => NodeError::Locked(error.reason().to_owned()),
                _ => error,
            }
        }
    })
}

impl Password {
    async fn read(&self) -> Result<String, String> {
        match self {
            Self::File(path) => {
                let text = tokio::fs::read_to_string(path).await;
                let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
                Ok(text.lines().next().unwrap_or_default().to_owned())
            }
            Self::Environment(name) => {
                std::env::var(name).map_err(|_| format!("the environment variable {name} with its password is not set"))
            }
        }
    }
}
