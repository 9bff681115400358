//! What clients of HTTP servers share: certificates, short answers, and what an error says.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::Response;

/// Makes a client that follows no redirects and uses none of the user's proxies; `ca_file` holds certificates of
/// authorities that are trusted besides the system's.
///
/// It sets no deadline for a whole request, since content of any size may come.
pub async fn client(connect: Duration, ca_file: Option<&Path>) -> Result<reqwest::Client, String> {
    builder(connect, ca_file).await?.build().map_err(innermost)
}

/// Returns the builder that [`client`] uses, for callers that set more.
pub async fn builder(connect: Duration, ca_file: Option<&Path>) -> Result<reqwest::ClientBuilder, String> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(connect)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("annex-keep/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = ca_file {
        let bad = |error: &dyn Error| format!("{}: {error}", path.display());
        let pem = tokio::fs::read(path).await.map_err(|error| bad(&error))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| bad(&error))?;
        builder = builder.tls_certs_merge(certificates);
    }
    Ok(builder)
}

/// Reads an answer of at most `most` bytes; a longer one is cut off.
pub async fn text(response: Response, most: usize) -> reqwest::Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut body = response.bytes_stream();
    while let Some(bytes) = body.next().await {
        text.extend_from_slice(&bytes?);
        if text.len() > most {
            text.truncate(most);
            break;
        }
    }
    Ok(text)
}

/// Tells whether a request failed because the server's certificate is not accepted. Trying again does not help then.
pub fn is_distrust(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = cause {
        // An error that an I/O error carries is not among its sources, so it is looked up by itself.
        let carried = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let carried = carried.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref::<rustls::Error>().or(carried) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Returns the cause at the bottom: what stands above it says only that a request failed.
pub fn innermost(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
