//! Requests with a token.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::{Method, RequestBuilder};

use crate::base::http_client;

/// How servers are reached, and as whom.
#[derive(Debug, Clone)]
pub struct Access {
    /// Who asks.
    pub token: Token,
    /// A file with certificates of authorities that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Servers may show any certificate, so anybody on the way can read and change everything.
    pub insecure: bool,
    /// How long to wait until a connection stands. Default: 20 seconds.
    pub connect: Duration,
}

/// Where the Arvados token is.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Token {
    /// Servers want none.
    #[default]
    None,
    /// This one.
    Given(String),
    /// The first line of a file, which is read again when the token is refused: somebody may have put a new one there.
    File(PathBuf),
}

/// A client of HTTP servers that shows them a token.
#[derive(Debug)]
pub struct Http {
    client: reqwest::Client,
    source: Token,
    token: Mutex<Option<String>>,
}

impl Default for Access {
    fn default() -> Self {
        Self { token: Token::None, ca_file: None, insecure: false, connect: Duration::from_secs(20) }
    }
}

impl Http {
    /// Reads files and makes the client; nothing is connected yet. Errors are texts for the user.
    pub async fn new(access: &Access) -> Result<Self, String> {
        let builder = http_client::builder(access.connect, access.ca_file.as_deref()).await?;
        let client =
            builder.tls_danger_accept_invalid_certs(access.insecure).build().map_err(http_client::innermost)?;
        let token = Mutex::new(access.token.read().await?);
        Ok(Self { client, source: access.token.clone(), token })
    }

    /// Makes a request with the present token.
    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        let request = self.client.request(method, url).header("X-Request-Id", request_id());
        match self.current() {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Looks for another token than `refused`, the one that was used; true if there is one now.
    pub async fn refresh(&self, refused: Option<&str>) -> bool {
        if let Ok(Some(token)) = self.source.read().await {
            *self.token() = Some(token);
        }
        self.current().as_deref() != refused
    }

    /// Returns the present token.
    pub fn current(&self) -> Option<String> {
        self.token().clone()
    }

    fn token(&self) -> MutexGuard<'_, Option<String>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Token {
    async fn read(&self) -> Result<Option<String>, String> {
        match self {
            Self::None => Ok(None),
            Self::Given(token) => Ok(Some(token.clone())),
            Self::File(path) => {
                let text = tokio::fs::read_to_string(path).await;
                let text = text.map_err(|error| format!("the token file {}: {error}", path.display()))?;
                Ok(text.lines().next().map(|line| line.trim().to_owned()).filter(|token| !token.is_empty()))
            }
        }
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Given(_) => f.write_str("Given"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// `req-` and twenty letters and digits, by which servers name a request in their logs.
fn request_id() -> String {
    let id = uuid::Uuid::new_v4().simple().to_string();
    format!("req-{}", id.get(..20).unwrap_or_default())
}
