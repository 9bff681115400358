//! Names of hosted repositories.

use std::fmt;
use std::path::Path;

use super::SiteError;

/// The name of a hosted repository, perhaps nested: `data`, `org/data`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoName(String);

const MAX_LENGTH: usize = 200;

impl RepoName {
    /// Parses a name: words of letters, digits, `.`, `_`, `-`, separated by `/`, none starting with `.` or `-`.
    ///
    /// A `.git` at the end is dropped.
    pub fn parse(text: &[u8]) -> Result<Self, SiteError> {
        let invalid = || {
            let text = String::from_utf8_lossy(text);
            SiteError::Invalid(format!(
                "\"{text}\" is not a repository name: use letters, digits, '.', '_', '-' and '/'"
            ))
        };
        let name = std::str::from_utf8(text).map_err(|_| invalid())?;
        let name = name.strip_suffix(".git").unwrap_or(name);
        let legal_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let legal_part = |part: &str| {
            !part.is_empty() && !part.starts_with(['.', '-']) && !part.ends_with(".git") && part.bytes().all(legal_byte)
        };
        if name.len() > MAX_LENGTH || !name.split('/').all(legal_part) {
            return Err(invalid());
        }
        Ok(Self(name.to_owned()))
    }

    /// Finds the name behind a directory that a client asked for: `/data`, `/~/data`, `data.git/`, or the repository's
    /// own directory below `repos` on this machine.
    pub fn from_client(path: &[u8], repos: &Path) -> Result<Self, SiteError> {
        let own_dir = std::str::from_utf8(path).ok().and_then(|text| Path::new(text).strip_prefix(repos).ok());
        if let Some(inside) = own_dir.and_then(Path::to_str) {
            return Self::parse(inside.trim_end_matches('/').as_bytes());
        }
        let mut name = path;
        for prefix in [&b"/~/"[..], b"~/", b"/"] {
            if let Some(rest) = name.strip_prefix(prefix) {
                name = rest;
                break;
            }
        }
        while let Some(rest) = name.strip_suffix(b"/").or_else(|| name.strip_prefix(b"/")) {
            name = rest;
        }
        Self::parse(name)
    }
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_client(path: &str) -> Option<String> {
        RepoName::from_client(path.as_bytes(), Path::new("/srv/site/repos")).ok().map(|name| name.to_string())
    }

    #[test]
    fn every_spelling_of_a_client_finds_the_repository() {
        for path in
            ["/data", "/data.git", "/data.git/", "/~/data", "data", "~/data", "//data", "/srv/site/repos/data.git"]
        {
            assert_eq!(from_client(path).as_deref(), Some("data"), "{path}");
        }
        assert_eq!(from_client("/org/data").as_deref(), Some("org/data"));
    }

    #[test]
    fn nothing_leads_out_of_the_site() {
        for path in ["/../x", "/a/../b", "/.", "", "/", "/a//b", "/-x", "/a b", "/x.git/y", "/é", "/a/.git"] {
            assert_eq!(from_client(path), None, "{path}");
        }
    }
}
