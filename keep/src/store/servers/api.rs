//! Requests to an Arvados API server.
//!
//! Source: `docs/spec/keep-collections.md` §4.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use super::http::Http;
use super::{ServerOptions, Waits, retry};
use crate::base::http_client;

/// An API server, as one user.
#[derive(Debug)]
pub struct Api {
    http: Http,
    base: String,
    retries: u32,
    pause: Duration,
    waits: Waits,
}

/// Why an API server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// There is none of that name, or none that the user may see.
    #[error("{server}: not found: {reason}")]
    NotFound {
        /// The server.
        server: String,
        /// What it said.
        reason: String,
    },
    /// It does not know the token, or the user may not do this.
    #[error("{server} refuses: {reason}")]
    Refused {
        /// The server.
        server: String,
        /// What it said.
        reason: String,
    },
    /// It cannot be reached now, or has no time.
    #[error("{server}: {reason}")]
    Away {
        /// The server.
        server: String,
        /// What it said, or what happened.
        reason: String,
    },
    /// It fails.
    #[error("{server}: {reason}")]
    Failed {
        /// The server.
        server: String,
        /// What it said, or what happened.
        reason: String,
    },
}

/// How long an answer may be: Arvados takes manifests of up to 128 MiB.
const MOST: usize = 512 << 20;

impl Api {
    /// Makes a client; `address` is `https://host[:port]`, the scheme may be left out.
    ///
    /// Of the options, those about waiting and trying again count here.
    pub fn new(http: Http, address: &str, options: &ServerOptions) -> Self {
        let scheme = if address.contains("://") { "" } else { "https://" };
        let base = format!("{scheme}{}", address.trim_end_matches('/'));
        let ServerOptions { retries, pause, waits, .. } = *options;
        Self { http, base, retries, pause, waits }
    }

    /// Returns the server's address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Asks for something.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, ApiError> {
        self.send(Method::GET, path, query, None).await
    }

    /// Sends a request and reads its answer; what may pass is repeated.
    pub async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<T, ApiError> {
        let limit = if method == Method::GET { self.waits.look } else { self.waits.change };
        let started = Instant::now();
        let mut refreshed = false;
        let mut number = 0;
        loop {
            let token = self.http.current();
            let left = limit.saturating_sub(started.elapsed());
            let (again, error) = match self.once(&method, path, query, body, left).await {
                Ok(answer) => {
                    return serde_json::from_slice(&answer)
                        .map_err(|error| self.failed(format!("its answer is not understood: {error}")));
                }
                Err((Some(StatusCode::UNAUTHORIZED), _)) if !refreshed && self.http.refresh(token.as_deref()).await => {
                    refreshed = true;
                    continue;
                }
                Err((status, reason)) => self.error(status, reason),
            };
            let pause = retry::pause(self.pause, number);
            if !again || number >= self.retries || started.elapsed() + pause >= limit {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            number += 1;
        }
    }

    async fn once(
        &self,
        method: &Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
        wait: Duration,
    ) -> Result<Vec<u8>, (Option<StatusCode>, String)> {
        let unreachable = |error| {
            let distrust = http_client::is_distrust(&error).then_some(StatusCode::MISDIRECTED_REQUEST);
            (distrust, http_client::innermost(error))
        };
        let url = reqwest::Url::parse_with_params(&format!("{}/{path}", self.base), query)
            .map_err(|error| (Some(StatusCode::BAD_REQUEST), format!("{}/{path}: {error}", self.base)))?;
        let mut request = self.http.request(method.clone(), url.as_str()).timeout(wait);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let answer = http_client::text(response, MOST).await.map_err(unreachable)?;
        if status.is_success() { Ok(answer) } else { Err((Some(status), said(status, &answer))) }
    }

    /// Returns the error that an answer stands for, and whether it may pass.
    fn error(&self, status: Option<StatusCode>, reason: String) -> (bool, ApiError) {
        let server = self.base.clone();
        match status.map(|status| status.as_u16()) {
            Some(404) => (false, ApiError::NotFound { server, reason }),
            Some(401 | 403) => (false, ApiError::Refused { server, reason }),
            None | Some(408 | 409 | 423 | 429 | 500 | 502..=504) => (true, ApiError::Away { server, reason }),
            Some(_) => (false, ApiError::Failed { server, reason }),
        }
    }

    fn failed(&self, reason: String) -> ApiError {
        ApiError::Failed { server: self.base.clone(), reason }
    }
}

/// Returns what a server says of an error: `{"errors": [text]}`.
fn said(status: StatusCode, answer: &[u8]) -> String {
    let texts = serde_json::from_slice::<Value>(answer).ok().and_then(|answer| {
        let texts = answer.get("errors")?.as_array()?.iter().filter_map(Value::as_str);
        Some(texts.collect::<Vec<_>>().join("; "))
    });
    match texts.filter(|texts| !texts.is_empty()) {
        Some(texts) => format!("{texts} ({})", status.as_u16()),
        None => status.to_string(),
    }
}
