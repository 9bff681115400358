//! Nodes that are reached by the P2P protocol through a program: `ssh://[USER@]HOST[:PORT]/PATH`, `command:PROGRAM ARGUMENTS`.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use annex_protocol::shell::split;
use annex_protocol::uuid::Uuid;

use super::{Bounds, P2pNode, Program};
use crate::node::kind::{Access, Beside, Kind, Opening, Reserve, Spec, SpecText};
use crate::node::port::Node;

/// Servers behind programs.
pub(in crate::node) const KIND: Kind = Kind {
    schemes: &["ssh", "command"],
    forms: &["ssh://", "command:"],
    parse: |text| Ok(Box::new(P2pSpec::parse(text)?)),
    local: false,
    reserve: Reserve::NO_DISK,
    served: false,
    one_repository: None,
    own_uuid: Some("a git-annex repository as a node has a UUID of its own: set uuid and repo"),
    starts_program: false,
};

/// A git-annex repository, or another gateway, that is reached through a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct P2pSpec {
    /// How it is reached.
    pub server: P2pServer,
    /// The gateway that it is reached through, if that is not the node itself.
    pub gateway: Option<Uuid>,
}

/// A P2P server behind a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum P2pServer {
    /// git-annex-shell on another machine, by the system's ssh.
    Ssh(SshSpec),
    /// A program with its arguments, in shell quoting. `{client}` and `{uuid}` in them stand for the gateway's UUID and
    /// the node's.
    Command(String),
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

impl P2pSpec {
    fn parse(text: &SpecText<'_>) -> Result<Self, String> {
        let server = match text.scheme {
            "command" => command(text.rest).map(P2pServer::Command),
            _ => ssh(text.rest).map(P2pServer::Ssh),
        };
        let server = server.map_err(|cause| format!("\"{}\": {cause}", text.whole))?;
        Ok(Self { server, gateway: None })
    }
}

impl Spec for P2pSpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn absolute(&self, _base: &Path) -> Box<dyn Spec> {
        Box::new(self.clone())
    }

    fn take(&mut self, beside: &mut Beside) -> Result<(), String> {
        self.gateway = beside.gateway.take();
        match beside.access == Access::default() {
            true => Ok(()),
            false => Err("user, password_file, password_env and ca_file are for annex+http nodes".to_owned()),
        }
    }

    fn node(&self, opening: &Opening) -> Arc<dyn Node> {
        let peer = opening.peer(self.gateway.clone());
        let program = match &self.server {
            P2pServer::Ssh(ssh) => {
                let line = Program::line_of_git_annex_shell(&peer, ssh.path.as_bytes());
                Program::ssh(&ssh.host, ssh.port, ssh.user.as_deref(), line)
            }
            P2pServer::Command(line) => {
                let line = line.replace("{client}", &peer.client.to_string()).replace("{uuid}", &peer.uuid.to_string());
                // A line that cannot be split does not get past the configuration.
                Program::new(split(line.as_bytes()).unwrap_or_default())
            }
        };
        Arc::new(P2pNode::new(program, peer, opening.patience, Bounds::default()))
    }
}

impl fmt::Display for P2pSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.server {
            P2pServer::Ssh(SshSpec { user, host, port, path }) => {
                let user = user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                let port = port.map(|port| format!(":{port}")).unwrap_or_default();
                write!(f, "ssh://{user}{host}{port}{path}")
            }
            P2pServer::Command(command) => write!(f, "command:{command}"),
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

fn command(rest: &str) -> Result<String, String> {
    match split(rest.as_bytes()) {
        Ok(words) if words.is_empty() => Err("the command is empty".to_owned()),
        Ok(_) => Ok(rest.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
