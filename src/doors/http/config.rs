//! The git configuration of a repository as clients may see it: from it git-annex learns UUID and annex URL.
//!
//! Source: `docs/spec/p2p-http.md` §1.

use axum::http::request::Parts;
use axum::http::uri::{Authority, Uri};
use axum::http::{HeaderMap, header};

use super::listen::Via;
use crate::host::hub::{Hosted, Hub};

/// Its content type.
pub(super) const TYPE: &str = "text/plain;charset=utf-8";

/// Returns the configuration.
pub(super) fn text(hub: &Hub, hosted: &Hosted, parts: &Parts) -> String {
    let url = public_url(hub, parts);
    let url = url.as_ref().and_then(annex_url).map(|url| format!("\turl = {url}\n")).unwrap_or_default();
    format!("[core]\n\tbare = true\n[annex]\n\tuuid = {}\n{url}", hosted.repo.identity.cluster)
}

/// Returns the URL under which the client reaches this door: the configured one, else the one by which it came.
pub(super) fn public_url(hub: &Hub, parts: &Parts) -> Option<Uri> {
    let via = parts.extensions.get::<Via>().copied().unwrap_or_default();
    let configured = hub.site().config().http.url.clone();
    configured.and_then(|url| url.parse().ok()).or_else(|| seen_url(via, &parts.headers, &parts.uri))
}

/// Returns the URL, without a path, by which the client came here.
///
/// The headers of a proxy count only if it runs on this machine. Only the client that asks sees the result.
fn seen_url(via: Via, headers: &HeaderMap, uri: &Uri) -> Option<Uri> {
    let forwarded = |name: &str| {
        let value = headers.get(name).filter(|_| via.local)?.to_str().ok()?;
        value.split(',').next().map(str::trim)
    };
    let scheme = match forwarded("x-forwarded-proto") {
        Some("https") => "https",
        Some("http") => "http",
        _ if via.secure => "https",
        _ => "http",
    };
    let host = || headers.get(header::HOST)?.to_str().ok();
    let authority = forwarded("x-forwarded-host").or_else(host).map(str::to_owned);
    // HTTP/2 has no Host header.
    let authority = authority.or_else(|| uri.authority().map(ToString::to_string))?;
    let authority = authority.parse::<Authority>().ok()?;
    Uri::builder().scheme(scheme).authority(authority).path_and_query("/").build().ok()
}

/// Turns the URL under which clients reach the door into the one for git-annex.
///
/// It always names the port: that of `annex+http` is 9417 otherwise. git-annex adds `/git-annex/` to a path by itself, and
/// takes it away only where it is the whole path.
fn annex_url(url: &Uri) -> Option<String> {
    let (scheme, usual) = match url.scheme_str() {
        Some("https") => ("https", 443),
        _ => ("http", 80),
    };
    // No host name contains characters that git's configuration would read as its own syntax.
    let legal = |b: u8| b.is_ascii_alphanumeric() || b".-_[]:".contains(&b);
    let host = url.host().filter(|host| !host.is_empty() && host.bytes().all(legal))?;
    let port = url.port_u16().unwrap_or(usual);
    let path = match url.path().trim_matches('/') {
        "" => "git-annex",
        prefix => prefix,
    };
    Some(format!("annex+{scheme}://{host}:{port}/{path}/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annexed(url: &str) -> Option<String> {
        annex_url(&url.parse().unwrap())
    }

    #[test]
    fn the_annex_url_names_port_and_prefix() {
        for (url, annex) in [
            ("http://h", "annex+http://h:80/git-annex/"),
            ("https://h.example.org/", "annex+https://h.example.org:443/git-annex/"),
            ("https://h:8443/pre", "annex+https://h:8443/pre/"),
            ("http://[::1]:8080/a/b/", "annex+http://[::1]:8080/a/b/"),
            ("https://bob:secret@h/", "annex+https://h:443/git-annex/"),
        ] {
            assert_eq!(annexed(url).as_deref(), Some(annex));
        }
    }

    fn seen(via: Via, headers: &[(&'static str, &'static str)]) -> Option<String> {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (header::HeaderName::from_static(name), header::HeaderValue::from_static(value))
        };
        let headers = headers.iter().map(pair).collect();
        annex_url(&seen_url(via, &headers, &Uri::from_static("/data/config"))?)
    }

    #[test]
    fn a_proxy_on_this_machine_is_believed_and_no_other() {
        let headers = [("host", "inner:1"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "outer, x")];
        let via = Via { secure: false, local: true };
        assert_eq!(seen(via, &headers).as_deref(), Some("annex+https://outer:443/git-annex/"));
        let via = Via { secure: false, local: false };
        assert_eq!(seen(via, &headers).as_deref(), Some("annex+http://inner:1/git-annex/"));
        let via = Via { secure: true, local: false };
        assert_eq!(seen(via, &headers[..1]).as_deref(), Some("annex+https://inner:1/git-annex/"));
    }

    #[test]
    fn a_host_that_is_none_is_not_repeated() {
        for host in ["", "a\"b", "a b", "a;b", "a\\b"] {
            assert_eq!(seen(Via::default(), &[("host", host)]), None, "{host}");
        }
    }
}
