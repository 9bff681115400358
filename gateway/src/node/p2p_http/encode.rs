//! URLs of the P2P protocol over HTTP.
//!
//! Source: `docs/spec/p2p-http.md` §1 and §2.

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

/// Returns the value of an `Authorization` header; git-annex reads only this alphabet.
pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", URL_SAFE.encode(format!("{user}:{password}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_written_as_git_annex_reads_it() {
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
