//! Nodes that are external special remotes: `external:TYPE?name=value&…`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{ExternalNode, Options, Times};
use crate::node::error::NodeError;
use crate::node::kind::secret::Secret;
use crate::node::kind::{Beside, Kind, Opening, Reserve, Spec, query};
use crate::node::lazy::{Lazy, Opener};
use crate::node::port::Node;

/// External special remotes.
pub(in crate::node) const KIND: Kind = Kind {
    schemes: &["external"],
    forms: &["external:TYPE"],
    parse: |text| Ok(Box::new(External::parse(text.rest)?)),
    local: false,
    reserve: Reserve::NO_DISK,
    served: false,
    one_repository: Some("a special remote knows no repositories, so it can serve only one: set repo"),
    own_uuid: None,
    starts_program: true,
};

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

/// How many transfers run at once if the configuration says nothing.
const PROCESSES: usize = 4;

/// Settings that change what is stored: the gateway stores and checks content as it is.
const REFUSED: [&str; 5] = ["chunk", "chunksize", "importtree", "mac", "keyid"];

impl External {
    /// Parses what follows `external:`.
    fn parse(text: &str) -> Result<Self, String> {
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
}

#[async_trait]
impl Spec for External {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn absolute(&self, base: &Path) -> Box<dyn Spec> {
        let mut absolute = self.clone();
        absolute.secrets.values_mut().for_each(|secret| *secret = secret.absolute(base));
        Box::new(absolute)
    }

    fn take(&mut self, beside: &mut Beside) -> Result<(), String> {
        self.secrets = std::mem::take(&mut beside.secrets);
        self.processes = beside.processes.take().unwrap_or(PROCESSES).clamp(1, 64);
        self.deadline = beside.deadline_seconds.take().map(|seconds| Duration::from_secs(seconds.max(1)));
        Ok(())
    }

    fn needs_site(&self) -> bool {
        true
    }

    fn node(&self, opening: &Opening) -> Arc<dyn Node> {
        Arc::new(Lazy::new(Box::new(ExternalOpener { external: self.clone(), opening: opening.clone() })))
    }
}

struct ExternalOpener {
    external: External,
    opening: Opening,
}

#[async_trait]
impl Opener for ExternalOpener {
    async fn open(&self) -> Result<Arc<dyn Node>, NodeError> {
        let Opening { name, uuid, site: Some(site), .. } = self.opening.clone() else {
            return Err(NodeError::Unsupported(
                "a special remote works only in a site, which remembers for it".to_owned(),
            ));
        };
        let External { kind, settings, secrets, processes, deadline } = self.external.clone();
        let times = deadline.map_or_else(Times::default, |silence| Times::default().with_silence(silence));
        let node = ExternalNode::open(Options {
            name,
            program: format!("git-annex-remote-{kind}").into(),
            kind,
            settings,
            secrets: Arc::new(move |name| secrets.get(name).map(Secret::read).transpose()),
            // Named by the UUID, which stays when the node is called something else.
            dir: site.root.join("nodes").join(format!("{uuid}.state")),
            uuid,
            spool: site.spool.open().await?,
            processes,
            times,
        });
        Ok(Arc::new(node.await?))
    }
}

impl fmt::Display for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "external:{}", self.kind)?;
        query::write(f, self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }
}
