//! Where the secrets of nodes stand: never in a configuration.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where a secret stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// In a file; a relative one stands in the site directory.
    File(PathBuf),
    /// In variables of the environment, one for each line of the secret.
    Environment(Vec<String>),
}

impl Secret {
    /// Reads where a secret stands: `file:PATH` or `env:NAME,…`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("env", names)) if !names.is_empty() => {
                Ok(Self::Environment(names.split(',').map(str::to_owned).collect()))
            }
            // The text may be the secret itself, so it is not shown.
            _ => Err("a secret is \"file:PATH\" or \"env:NAME\", never the secret itself".to_owned()),
        }
    }

    /// Returns the same with a relative file name made absolute by `base`.
    pub fn absolute(&self, base: &Path) -> Self {
        match self {
            Self::File(path) => Self::File(base.join(path)),
            Self::Environment(names) => Self::Environment(names.clone()),
        }
    }

    /// Reads the secret; the error says what could not be read.
    pub fn read(&self) -> Result<String, String> {
        match self {
            Self::File(path) => std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display())),
            Self::Environment(names) => {
                let value = |name: &String| std::env::var(name).map_err(|error| format!("${name}: {error}"));
                Ok(names.iter().map(value).collect::<Result<Vec<_>, _>>()?.join("\n"))
            }
        }
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Environment(names) => write!(f, "env:{}", names.join(",")),
        }
    }
}
