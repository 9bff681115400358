//! Nodes that are reached by the P2P protocol over HTTP: `annex+http(s)://HOST[:PORT]/PATH/`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annex_protocol::uuid::Uuid;

use super::{HttpNode, Password, Server};
use crate::node::kind::{Access, Beside, Kind, Opening, Reserve, Spec};
use crate::node::port::Node;

/// Servers on HTTP.
pub(in crate::node) const KIND: Kind = Kind {
    schemes: &["annex+http", "annex+https"],
    forms: &["annex+http(s)://"],
    parse: |text| Ok(Box::new(HttpSpec::parse(text.whole, text.rest)?)),
    local: false,
    reserve: Reserve::NO_DISK,
    served: false,
    one_repository: None,
    own_uuid: Some("a git-annex repository as a node has a UUID of its own: set uuid and repo"),
    starts_program: false,
};

/// A P2P server on HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSpec {
    /// The URL as it was given.
    pub url: String,
    /// Who asks, and where the password is; nobody in particular if left out.
    pub credentials: Option<(String, Password)>,
    /// A file with certificates of authorities that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// The gateway that it is reached through, if that is not the node itself.
    pub gateway: Option<Uuid>,
}

impl HttpSpec {
    fn parse(text: &str, rest: &str) -> Result<Self, String> {
        let authority = rest.strip_prefix("//").map(|rest| rest.split('/').next().unwrap_or_default());
        match authority {
            // A configuration is shown to people; a password is not.
            Some(authority) if authority.contains('@') => {
                Err("name user and password_file or password_env in the node's section, not in the URL".to_owned())
            }
            Some(authority) if !authority.is_empty() && !text.contains(['?', '#']) => {
                Ok(Self { url: text.to_owned(), credentials: None, ca_file: None, gateway: None })
            }
            _ => Err(format!("\"{text}\": it should be annex+https://HOST[:PORT]/PATH/")),
        }
    }
}

impl Spec for HttpSpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn absolute(&self, base: &Path) -> Box<dyn Spec> {
        let mut spec = self.clone();
        spec.ca_file = spec.ca_file.map(|file| base.join(file));
        if let Some((_, Password::File(file))) = &mut spec.credentials {
            *file = base.join(&*file);
        }
        Box::new(spec)
    }

    fn take(&mut self, beside: &mut Beside) -> Result<(), String> {
        self.gateway = beside.gateway.take();
        let Access { user, password_file, password_env, ca_file } = std::mem::take(&mut beside.access);
        let password = match (password_file, password_env) {
            (Some(_), Some(_)) => return Err("give password_file or password_env, not both".to_owned()),
            (Some(file), None) => Some(Password::File(file)),
            (None, Some(name)) => Some(Password::Environment(name)),
            (None, None) => None,
        };
        if user.is_some() != password.is_some() {
            return Err("a user needs a password_file or password_env, and the other way round".to_owned());
        }
        if ca_file.is_some() && !self.url.starts_with("annex+https:") {
            return Err("ca_file is for annex+https nodes".to_owned());
        }
        (self.credentials, self.ca_file) = (user.zip(password), ca_file);
        Ok(())
    }

    fn node(&self, opening: &Opening) -> Arc<dyn Node> {
        let (url, credentials, ca_file) = (self.url.clone(), self.credentials.clone(), self.ca_file.clone());
        let peer = opening.peer(self.gateway.clone());
        Arc::new(HttpNode::new(Server { url, credentials, ca_file }, peer, opening.patience))
    }
}

impl fmt::Display for HttpSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}
