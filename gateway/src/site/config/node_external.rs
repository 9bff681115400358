//! Nodes that are external special remotes: `external:TYPE?name=value&…`, and where their secrets stand.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::{NodeSpec, query};

/// An external special remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct External {
    /// The TYPE of `git-annex-remote-TYPE`.
    pub kind: String,
    /// Its settings, as `git annex initremote` would be given them.
    pub settings: BTreeMap<String, String>,
    /// Settings and credentials that do not stand in the configuration, by the names the program asks for.
    pub secrets: BTreeMap<String, Secret>,
    /// Transfers at once.
    pub processes: usize,
    /// After this long without an answer, or without progress, a request is given up.
    pub deadline: Option<Duration>,
}

/// Where a secret stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// In a file; a relative one stands in the site directory.
    File(PathBuf),
    /// In variables of the environment, one for each line of the secret.
    Environment(Vec<String>),
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawExternal {
    secrets: BTreeMap<String, String>,
    processes: Option<usize>,
    deadline_seconds: Option<u64>,
}

/// Transfers at once, where nothing else is said.
const PROCESSES: usize = 4;

/// Settings that change what is stored: the gateway stores and checks content as it is.
const REFUSED: [&str; 5] = ["chunk", "chunksize", "importtree", "mac", "keyid"];

impl External {
    /// Parses what follows `external:`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (kind, query) = text.split_once('?').unwrap_or((text, ""));
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        if kind.is_empty() || !kind.bytes().all(legal) {
            return Err(format!("\"{kind}\" is no type of special remote: it is the TYPE of git-annex-remote-TYPE"));
        }
        let mut settings = BTreeMap::new();
        for setting in query::settings(query) {
            let (name, value) = setting?;
            if name.contains(char::is_whitespace) || value.contains(['\n', '\r']) {
                return Err(format!("\"{name}={value}\": the protocol of special remotes cannot carry this"));
            }
            if REFUSED.contains(&name) || (name == "encryption" && value != "none") {
                return Err(format!("{name}={value}: a gateway stores content as it is, and so checks it"));
            }
            settings.insert(name.to_owned(), value);
        }
        let is_set = |name: &str| settings.get(name).is_some_and(|value| value == "yes");
        if is_set("exporttree") && !is_set("annexobjects") {
            return Err("exporttree=yes: a node keeps keys, not trees; annexobjects=yes gives them a place".to_owned());
        }
        let (secrets, processes, deadline) = (BTreeMap::new(), PROCESSES, None);
        Ok(Self { kind: kind.to_owned(), settings, secrets, processes, deadline })
    }

    /// Returns the same with relative file names made absolute by `base`.
    pub(super) fn absolute(&self, base: &Path) -> Self {
        let mut absolute = self.clone();
        absolute.secrets.values_mut().for_each(|secret| *secret = secret.absolute(base));
        absolute
    }
}

impl RawExternal {
    /// Adds what is said beside the spec.
    pub(super) fn complete(self, spec: NodeSpec) -> Result<NodeSpec, String> {
        let others = self.processes.is_none() && self.deadline_seconds.is_none();
        let secrets = self.secrets.into_iter().map(|(name, text)| Ok((name, Secret::parse(&text)?)));
        let secrets: BTreeMap<String, Secret> = secrets.collect::<Result<_, String>>()?;
        let external = match spec {
            NodeSpec::External(external) => external,
            spec if others => return spec.with_secrets(secrets),
            _ => {
                let text = "processes and deadline_seconds are for nodes external:TYPE";
                return Err(text.to_owned());
            }
        };
        Ok(NodeSpec::External(External {
            secrets,
            processes: self.processes.unwrap_or(PROCESSES).clamp(1, 64),
            deadline: self.deadline_seconds.map(|seconds| Duration::from_secs(seconds.max(1))),
            ..external
        }))
    }
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

impl fmt::Display for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        query::write(f, self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn node(text: &str) -> Result<NodeSpec, String> {
        let head = "[nodes.a]\nid = \"59a5eba9-ef36-4fc5-b11d-effc1bd2effc\"\n";
        Config::parse(&format!("{head}{text}")).map(|config| config.nodes["a"].store.clone())
    }

    #[test]
    fn a_spec_reads_as_it_is_written() {
        for text in ["external:keep", "external:rclone?prefix=a b/%26%25&target=x", "external:my-kind.2?a="] {
            let spec = NodeSpec::parse(text).unwrap();
            assert_eq!(spec.to_string(), text);
            assert_eq!(NodeSpec::parse(&spec.to_string()).unwrap(), spec);
        }
        let NodeSpec::External(external) = NodeSpec::parse("external:d?directory=%2Fa%20b&encryption=none").unwrap()
        else {
            panic!("another kind")
        };
        assert_eq!(external.settings["directory"], "/a b");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (text, word) in [
            ("store = \"external:keep\"", "set repo"),
            ("store = \"external:../keep\"\nrepo = \"data\"", "no type"),
            ("store = \"external:keep?x\"\nrepo = \"data\"", "NAME=VALUE"),
            ("store = \"external:keep?x=%zz\"\nrepo = \"data\"", "URL"),
            ("store = \"external:keep?x=%0a\"\nrepo = \"data\"", "told"),
            ("store = \"external:keep?encryption=shared\"\nrepo = \"data\"", "encryption"),
            ("store = \"external:keep?chunk=1MiB\"\nrepo = \"data\"", "chunk"),
            ("store = \"external:keep?exporttree=yes\"\nrepo = \"data\"", "annexobjects"),
            ("store = \"external:keep\"\nrepo = \"data\"\nsecrets = { a = \"hunter2\" }", "never the secret"),
            ("store = \"keep:/a\"\nprocesses = 2", "external:TYPE"),
            ("store = \"keep:/a\"\nprocess = 2", "process"),
        ] {
            let error = node(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
            assert!(!error.contains("hunter2"));
        }
    }

    #[test]
    fn secrets_come_from_files_and_the_environment() {
        let text = "store = \"external:k\"\nrepo = \"data\"\ndeadline_seconds = 5\n\
            secrets = { a = \"file:aws\", b = \"env:HOME,PATH\" }";
        let NodeSpec::External(external) = node(text).unwrap().absolute(Path::new("/site")) else {
            panic!("another kind")
        };
        assert_eq!(external.secrets["a"], Secret::File("/site/aws".into()));
        assert_eq!(external.secrets["b"].read().unwrap().lines().count(), 2);
        assert_eq!((external.processes, external.deadline), (PROCESSES, Some(Duration::from_secs(5))));
        assert!(external.secrets["a"].read().unwrap_err().contains("/site/aws"));
    }
}
