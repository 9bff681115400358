//! The doors: where they listen, and what clients see of them.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

/// Where a door listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A TCP address; port 0 for any.
    Tcp(SocketAddr),
    /// A Unix socket; a relative path stands in the site's directory.
    Unix(PathBuf),
}

/// The ssh door.
#[derive(Debug, Clone)]
pub struct Ssh {
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// Files with public keys of certificate authorities for users.
    pub user_ca: Vec<PathBuf>,
    /// Whether chacha20-poly1305 is offered beside AES-GCM.
    pub chacha20: bool,
}

/// The HTTP door.
#[derive(Debug, Clone)]
pub struct Http {
    /// Where it listens.
    pub listen: Vec<Address>,
    /// What clients see instead of the address that they connect to, without a `/` at the end.
    pub url: Option<String>,
    /// Its certificate; without one it speaks plain HTTP.
    pub tls: Option<Tls>,
}

/// The files of a certificate, in PEM format.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate, and those of its issuers after it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSsh {
    listen: Vec<String>,
    user_ca: Vec<PathBuf>,
    chacha20: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawHttp {
    listen: Vec<String>,
    url: String,
    tls: Option<Tls>,
}

impl RawSsh {
    pub(super) fn check(self) -> Result<Ssh, String> {
        let listen = self.listen.iter().map(|text| tcp(text)).collect::<Result<_, _>>()?;
        Ok(Ssh { listen, user_ca: self.user_ca, chacha20: self.chacha20 })
    }
}

impl RawHttp {
    pub(super) fn check(self) -> Result<Http, String> {
        let listen = self.listen.iter().map(|text| Address::parse(text)).collect::<Result<_, _>>()?;
        let url = Some(self.url.trim_end_matches('/').to_owned()).filter(|url| !url.is_empty());
        if let Some(url) = url.as_ref().filter(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            return Err(format!("http.url: \"{url}\" should start with http:// or https://"));
        }
        Ok(Http { listen, url, tls: self.tls })
    }
}

impl Address {
    /// Reads `ADDRESS:PORT` or `unix:PATH`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("unix: is followed by a path".to_owned()),
            Some(path) => Ok(Self::Unix(path.into())),
            None => tcp(text).map(Self::Tcp),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Reads `ADDRESS:PORT`.
pub(super) fn tcp(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("\"{text}\" is no address: it should look like 127.0.0.1:8080 or [::1]:8080"))
}
