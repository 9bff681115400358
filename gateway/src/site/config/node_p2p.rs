//! Nodes that are reached by the P2P protocol: `ssh://`, `command:`, `annex+http(s)://`.

use std::path::{Path, PathBuf};

use annex_protocol::shell::split;
use annex_protocol::uuid::Uuid;

/// A P2P server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum P2pSpec {
    /// git-annex-shell on another machine, by the system's ssh.
    Ssh(SshSpec),
    /// A program with its arguments, in shell quoting. `{client}` and `{uuid}` in them stand for the gateway's UUID and
    /// the node's.
    Command(String),
    /// A P2P server on HTTP.
    Http(HttpSpec),
}

/// `ssh://[USER@]HOST[:PORT]/PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSpec {
    /// The user to log in as, if not ssh's own choice.
    pub user: Option<String>,
    /// The host, by the names that ssh's configuration knows.
    pub host: String,
    /// The port, if not ssh's own choice.
    pub port: Option<u16>,
    /// The repository, as git-annex-shell takes it: `/path`, `/~/path`.
    pub path: String,
}

/// `annex+http(s)://HOST[:PORT]/PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSpec {
    /// The URL as it was given.
    pub url: String,
    /// Who asks; nobody in particular if left out.
    pub user: Option<String>,
    /// Where the user's password is.
    pub password: Option<PasswordSource>,
    /// A file with certificates of authorities that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// Where a password is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordSource {
    /// The first line of a file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
}

/// What a `[nodes.NAME]` section says of access to an HTTP server.
pub(super) struct RawAccess {
    pub(super) user: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) password_env: Option<String>,
    pub(super) ca_file: Option<PathBuf>,
}

impl RawAccess {
    pub(super) fn is_none(&self) -> bool {
        let Self { user, password_file, password_env, ca_file } = self;
        user.is_none() && password_file.is_none() && password_env.is_none() && ca_file.is_none()
    }
}

impl P2pSpec {
    /// Parses a spec of one of these kinds; `None` if it is of another.
    pub(super) fn parse(text: &str) -> Option<Result<Self, String>> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "ssh" => Some(ssh(rest).map(Self::Ssh).map_err(|cause| format!("\"{text}\": {cause}"))),
            "command" => Some(command(rest).map_err(|cause| format!("\"{text}\": {cause}"))),
            "annex+http" | "annex+https" => Some(http(text, rest)),
            _ => None,
        }
    }

    /// Adds what the node's section says of access.
    pub(super) fn with(self, access: RawAccess) -> Result<Self, String> {
        let Self::Http(spec) = self else {
            let text = "user, password_file, password_env and ca_file are for annex+http nodes";
            return if access.is_none() { Ok(self) } else { Err(text.to_owned()) };
        };
        let RawAccess { user, password_file, password_env, ca_file } = access;
        let password = match (password_file, password_env) {
            (Some(_), Some(_)) => return Err("give password_file or password_env, not both".to_owned()),
            (Some(file), None) => Some(PasswordSource::File(file)),
            (None, Some(name)) => Some(PasswordSource::Environment(name)),
            (None, None) => None,
        };
        if user.is_some() != password.is_some() {
            return Err("a user needs a password_file or password_env, and the other way round".to_owned());
        }
        if ca_file.is_some() && !spec.url.starts_with("annex+https:") {
            return Err("ca_file is for annex+https nodes".to_owned());
        }
        Ok(Self::Http(HttpSpec { user, password, ca_file, ..spec }))
    }

    /// Returns the spec with relative file names made absolute by `base`.
    pub(super) fn absolute(&self, base: &Path) -> Self {
        let Self::Http(spec) = self else { return self.clone() };
        let mut spec = spec.clone();
        spec.ca_file = spec.ca_file.map(|file| base.join(file));
        if let Some(PasswordSource::File(file)) = &mut spec.password {
            *file = base.join(&*file);
        }
        Self::Http(spec)
    }
}

impl std::fmt::Display for P2pSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ssh(SshSpec { user, host, port, path }) => {
                let user = user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                let port = port.map(|port| format!(":{port}")).unwrap_or_default();
                write!(f, "ssh://{user}{host}{port}{path}")
            }
            Self::Command(command) => write!(f, "command:{command}"),
            Self::Http(spec) => f.write_str(&spec.url),
        }
    }
}

fn ssh(rest: &str) -> Result<SshSpec, String> {
    let bad = || "it should be ssh://[USER@]HOST[:PORT]/PATH".to_owned();
    let rest = rest.strip_prefix("//").ok_or_else(bad)?;
    let slash = rest.find('/').ok_or_else(bad)?;
    let (authority, path) = rest.split_at(slash);
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user.to_owned()), host),
        None => (None, authority),
    };
    let (host, port) = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((address, "")) => (address, None),
        Some((address, port)) => (address, Some(port.strip_prefix(':').ok_or_else(bad)?)),
        None => host.split_once(':').map_or((host, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map(|port| port.parse().map_err(|_| format!("\"{port}\" is no port"))).transpose()?;
    // What starts with a dash would be an option of ssh.
    let legal = |word: &str| !word.is_empty() && !word.starts_with('-') && !word.contains(char::is_whitespace);
    if !legal(host) || !user.as_deref().is_none_or(legal) || user.as_ref().is_some_and(|user| user.contains(':')) {
        return Err(bad());
    }
    Ok(SshSpec { user, host: host.to_owned(), port, path: path.to_owned() })
}

fn command(rest: &str) -> Result<P2pSpec, String> {
    match split(rest.as_bytes()) {
        Ok(words) if words.is_empty() => Err("the command is empty".to_owned()),
        Ok(_) => Ok(P2pSpec::Command(rest.to_owned())),
        Err(error) => Err(error.to_string()),
    }
}

fn http(text: &str, rest: &str) -> Result<P2pSpec, String> {
    let authority = rest.strip_prefix("//").map(|rest| rest.split('/').next().unwrap_or_default());
    match authority {
        // A configuration is shown to people; a password is not.
        Some(authority) if authority.contains('@') => {
            Err("name user and password_file or password_env in the node's section, not in the URL".to_owned())
        }
        Some(authority) if !authority.is_empty() && !text.contains(['?', '#']) => {
            Ok(P2pSpec::Http(HttpSpec { url: text.to_owned(), user: None, password: None, ca_file: None }))
        }
        _ => Err(format!("\"{text}\": it should be annex+https://HOST[:PORT]/PATH/")),
    }
}

/// Reads the UUID of a gateway.
pub(super) fn gateway(text: &str) -> Result<Uuid, String> {
    Uuid::parse(text.as_bytes()).ok_or_else(|| format!("gateway: \"{text}\" is no UUID"))
}

#[cfg(test)]
mod tests {
    use super::super::{Config, NodeSpec};
    use super::*;

    const HEAD: &str = "[nodes.a]\nid = \"59a5eba9-ef36-4fc5-b11d-effc1bd2effc\"\n";
    const OWN: &str = "repo = \"data\"\nuuid = \"1b0e07ac-3fb0-4d2c-8b39-7a2a2b4f7a11\"\n";

    fn config(text: &str) -> Result<Config, String> {
        Config::parse(&format!("{HEAD}{text}"))
    }

    #[test]
    fn specs_are_read_and_written() {
        for text in [
            "ssh://host/data",
            "ssh://me@host:2222/~/data",
            "ssh://[::1]:22/x y",
            "command:git-annex-shell p2pstdio '/a b' {client}",
            "annex+https://host/git-annex/",
        ] {
            assert_eq!(NodeSpec::parse(text).map(|spec| spec.to_string()), Ok(text.to_owned()));
        }
        let spec = ssh("//me@host:2222/~/data").unwrap();
        assert_eq!((spec.user.as_deref(), spec.port, spec.path.as_str()), (Some("me"), Some(2222), "/~/data"));
    }

    #[test]
    fn what_could_be_an_option_or_holds_a_password_is_refused() {
        for text in [
            "ssh://-oProxyCommand=x/data",
            "ssh://-l@host/data",
            "ssh://host",
            "ssh://host:x/data",
            "command:",
            "command:a 'b",
            "annex+http://me:secret@host/",
            "annex+http:host",
        ] {
            assert!(NodeSpec::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn such_a_node_is_a_repository_with_a_uuid_and_credentials_stand_apart() {
        let http = "store = \"annex+http://host/git-annex/\"\n";
        assert!(config(&format!("{http}{OWN}")).is_ok());
        assert!(config(http).unwrap_err().contains("uuid"));
        assert!(config(&format!("{http}{OWN}user = \"me\"\n")).unwrap_err().contains("password"));
        assert!(config(&format!("{http}{OWN}user = \"me\"\npassword_env = \"PW\"\n")).is_ok());
        assert!(config(&format!("{http}{OWN}ca_file = \"ca.pem\"\n")).unwrap_err().contains("https"));
        let ssh = "store = \"ssh://host/x\"\n";
        assert!(config(&format!("{ssh}{OWN}user = \"me\"\npassword_env = \"PW\"\n")).is_err());
        assert!(config("store = \"/keep\"\nuser = \"me\"\n").is_err());
    }

    #[test]
    fn file_names_stand_in_the_site() {
        let text =
            format!("store = \"annex+https://h/\"\n{OWN}user = \"u\"\npassword_file = \"pw\"\nca_file = \"/ca\"\n");
        let config = config(&text).unwrap();
        let NodeSpec::P2p { server: P2pSpec::Http(spec), .. } = config.nodes["a"].store.absolute(Path::new("/site"))
        else {
            panic!("not an HTTP node");
        };
        assert_eq!(spec.password, Some(PasswordSource::File("/site/pw".into())));
        assert_eq!(spec.ca_file, Some("/ca".into()));
    }
}
