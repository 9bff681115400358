//! URLs of the P2P protocol over HTTP.
//!
//! Source: spec `p2p-http.md` §1 and §2.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;

/// The port of a server whose URL names none.
const PORT: u16 = 9417;

/// Returns what stands before `/git-annex/UUID/…`, from a node's `annex+http(s)://` URL.
pub(super) fn base(url: &str) -> Option<reqwest::Url> {
    let (scheme, rest) = url.strip_prefix("annex+")?.split_once("://")?;
    let mut base = reqwest::Url::parse(&format!("{scheme}://{rest}")).ok()?;
    let authority = rest.split('/').next().unwrap_or_default();
    let names_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    if !names_port {
        base.set_port(Some(PORT)).ok()?;
    }
    // git-annex takes this off only where nothing stands before it.
    let path = base.path().trim_end_matches('/').to_owned();
    base.set_path(if path == "/git-annex" { "" } else { &path });
    Some(base)
}

/// Writes a UUID, key or file name: as it is if that is unmistakable, else as base64 in brackets.
pub(super) fn value(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !(text.starts_with('[') && text.ends_with(']')) => text.to_owned(),
        _ => format!("[{}]", URL_SAFE.encode(bytes)),
    }
}

/// Escapes a value for a path segment or a query parameter: everything but what is never special.
pub(super) fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// Returns the value of an `Authorization` header; git-annex reads only this alphabet.
pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", URL_SAFE.encode(format!("{user}:{password}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_git_annex_reads_them() {
        assert_eq!(value(b"q [x].bin"), "q [x].bin");
        assert_eq!(value(b"[foo]"), "[W2Zvb10=]");
        assert_eq!(value(b"\xff\xfe"), "[__4=]");
        assert_eq!(escape("a b/c+[\u{e4}]"), "a%20b%2Fc%2B%5B%C3%A4%5D");
        assert_eq!(basic("bob", "~~~??"), "Basic Ym9iOn5-fj8_");
    }

    #[test]
    fn a_url_has_git_annexs_own_port_and_path() {
        for (url, wanted) in [
            ("annex+http://h/git-annex/", "http://h:9417/"),
            ("annex+http://h/git-annex", "http://h:9417/"),
            ("annex+https://h", "https://h:9417/"),
            ("annex+http://h:80/pre/git-annex/", "http://h/pre/git-annex"),
            ("annex+https://[::1]/pre/", "https://[::1]:9417/pre"),
            ("annex+https://[::1]:443/", "https://[::1]/"),
        ] {
            assert_eq!(base(url).map(String::from).as_deref(), Some(wanted), "{url}");
        }
    }
}
