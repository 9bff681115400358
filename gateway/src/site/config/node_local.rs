//! Node specs of stores that lie on this machine's disks in git-annex's own layouts.

use std::fmt;
use std::path::{Path, PathBuf};

use annex_protocol::prefer::size;

/// A git-annex repository on this machine: `annex:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnexSpec {
    /// The repository: bare, or with a work tree; a relative path stands in the site directory.
    pub path: PathBuf,
}

/// A directory in the layout of git-annex's directory special remote: `directory:PATH[?chunk=SIZE]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectorySpec {
    /// The directory; a relative path stands in the site directory.
    pub path: PathBuf,
    /// New content is cut into chunks of this many bytes, as the remote's `chunk=` says.
    pub chunk: Option<u64>,
}

impl AnnexSpec {
    pub(super) fn parse(path: &str) -> Result<Self, String> {
        match path {
            "" => Err("\"annex:\" names no repository".to_owned()),
            path => Ok(Self { path: path.into() }),
        }
    }

    pub(super) fn absolute(&self, base: &Path) -> Self {
        Self { path: base.join(&self.path) }
    }
}

impl DirectorySpec {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (path, settings) = text.rsplit_once('?').unwrap_or((text, ""));
        if path.is_empty() {
            return Err("\"directory:\" names no directory".to_owned());
        }
        let mut spec = Self { path: path.into(), chunk: None };
        for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
            match setting.split_once('=').unwrap_or((setting, "")) {
                ("chunk", value) => spec.chunk = chunk(value)?,
                ("encryption", "none") => {}
                ("encryption", kind) => {
                    return Err(format!(
                        "encryption={kind}: the gateway reads and writes only directories with encryption=none"
                    ));
                }
                (name, _) => return Err(format!("\"{name}\" is no setting of a directory node; it has chunk=SIZE")),
            }
        }
        Ok(spec)
    }

    pub(super) fn absolute(&self, base: &Path) -> Self {
        Self { path: base.join(&self.path), chunk: self.chunk }
    }
}

/// Reads a chunk size as git-annex does; 0 means whole.
fn chunk(text: &str) -> Result<Option<u64>, String> {
    let bytes = size(text.as_bytes()).and_then(|bytes| u64::try_from(bytes).ok());
    let bytes = bytes.ok_or_else(|| format!("chunk={text} should be a size, for example chunk=1MiB"))?;
    Ok(Some(bytes).filter(|bytes| *bytes > 0))
}

impl fmt::Display for AnnexSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "annex:{}", self.path.display())
    }
}

impl fmt::Display for DirectorySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "directory:{}", self.path.display())?;
        // A `?` in the path must not be taken for the settings' beginning when this is read again.
        match self.chunk {
            Some(chunk) => write!(f, "?chunk={chunk}"),
            None if self.path.to_string_lossy().contains('?') => write!(f, "?"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::site::config::{Config, NodeSpec};

    fn config(lines: &str) -> Result<Config, String> {
        Config::parse(&format!("[nodes.a]\nid = \"59a5eba9-ef36-4fc5-b11d-effc1bd2effc\"\n{lines}\n"))
    }

    #[test]
    fn specs_are_read_as_they_are_written() {
        for text in ["annex:/srv/a:b", "directory:/d", "directory:d?chunk=1048576", "directory:/what?/d?"] {
            assert_eq!(NodeSpec::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(NodeSpec::parse("directory:/d?chunk=1MiB").unwrap().to_string(), "directory:/d?chunk=1048576");
        assert_eq!(NodeSpec::parse("directory:/d?encryption=none&chunk=0").unwrap().to_string(), "directory:/d");
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_reason() {
        let refused = |text: &str| NodeSpec::parse(text).unwrap_err();
        assert!(refused("directory:/d?encryption=shared").contains("encryption=none"));
        assert!(refused("directory:/d?chunk=many").contains("chunk=1MiB"));
        assert!(refused("directory:/d?color=red").contains("color"));
        assert!(refused("annex:").contains("no repository"));
        assert!(refused("directory:?chunk=1").contains("no directory"));
        assert!(config("store = \"directory:/d\"").unwrap_err().contains("set repo"));
        assert!(config("store = \"annex:/d\"\nrepo = \"data\"").unwrap_err().contains("set uuid"));
        config("store = \"directory:/d\"\nrepo = \"data\"").unwrap();
        config("store = \"annex:/d\"\nrepo = \"data\"\nuuid = \"59a5eba9-ef36-4fc5-b11d-effc1bd2effc\"").unwrap();
    }
}
