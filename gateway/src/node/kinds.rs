//! The kinds of nodes that there are.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use super::kind::secret::Secret;
use super::kind::{Beside, Kind, Reserve, Spec, SpecText};
use super::{annex, arvados, directory, external, keep, p2p, p2p_http, s3};

/// All kinds, one a line. Error texts name them in this order.
const KINDS: &[&Kind] = &[
    &keep::directory::KIND,
    &keep::bucket::KIND,
    &keep::servers::KIND,
    &arvados::kind::KIND,
    &annex::kind::KIND,
    &directory::kind::KIND,
    &external::kind::KIND,
    &s3::kind::KIND,
    &p2p::kind::KIND,
    &p2p_http::kind::KIND,
    #[cfg(any(test, feature = "test-nodes"))]
    &super::memory::kind::KIND,
];

/// Where a node keeps content. Cloning is cheap.
#[derive(Clone)]
pub struct NodeSpec(Arc<dyn Spec>);

/// Which settings a node's section has that some kinds refuse or require.
#[derive(Debug, Clone, Copy, Default)]
pub struct Section {
    /// `keep`: what Keep's own clients see.
    pub keep: bool,
    /// `known_seconds`: for how long the node need not be asked again.
    pub known_seconds: bool,
    /// `reserve`: how many bytes stay free.
    pub reserve: bool,
    /// `repo`: the only repository that the node serves.
    pub repo: bool,
    /// `uuid`: a UUID of the node's own.
    pub uuid: bool,
}

impl NodeSpec {
    /// Reads a spec: `SCHEME:…`, or the path of a Keep store.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once(':').filter(|(scheme, _)| !scheme.contains('/')).unwrap_or(("", text));
        let Some(kind) = KINDS.iter().find(|kind| kind.schemes.contains(&scheme)) else {
            return Err(format!("this version has no nodes of kind \"{scheme}\"; it has {}", forms()));
        };
        (kind.parse)(&SpecText { whole: text, scheme, rest }).map(Self::from)
    }

    /// Adds what the node's section says beside the spec.
    pub fn with(&self, mut beside: Beside) -> Result<Self, String> {
        let mut spec = self.0.copy();
        spec.take(&mut beside)?;
        beside.is_taken()?;
        Ok(spec.into())
    }

    /// Adds the secrets that stand beside a spec, if its kind asks for any.
    pub fn with_secrets(&self, secrets: BTreeMap<String, Secret>) -> Result<Self, String> {
        self.with(Beside { secrets, ..Beside::default() })
    }

    /// Returns the spec with relative paths made absolute by `base`.
    pub fn absolute(&self, base: &Path) -> Self {
        self.0.absolute(base).into()
    }

    /// Tells whether content is on this machine's disks, so that its room can be looked at.
    pub fn is_local(&self) -> bool {
        self.kind().local
    }

    /// Returns the spec as type `T`, if it is one.
    pub fn of_kind<T: 'static>(&self) -> Option<&T> {
        self.0.any().downcast_ref()
    }

    /// Fails if a node of this kind has no use for what its section says, or misses something; the error says what.
    pub fn check(&self, section: Section) -> Result<(), String> {
        let kind = self.kind();
        let text = match kind.reserve {
            _ if section.keep && !kind.served => "only Keep stores are served to Keep's clients: leave keep out",
            _ if section.known_seconds && kind.local => {
                "known_seconds is for nodes over a network or behind a program: this one is asked as quickly"
            }
            Reserve::Refused(text) if section.reserve => text,
            _ if section.uuid && !section.repo => "a node with a UUID of its own belongs to one repository: set repo",
            _ => {
                let repo = kind.one_repository.filter(|_| !section.repo);
                match repo.or(kind.own_uuid.filter(|_| !section.uuid)) {
                    Some(text) => text,
                    None => return Ok(()),
                }
            }
        };
        Err(text.to_owned())
    }
}

/// Lists how specs look: `a, b and c`.
fn forms() -> String {
    let forms: Vec<&str> = KINDS.iter().flat_map(|kind| kind.forms.iter().copied()).collect();
    match forms.split_last() {
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

impl Deref for NodeSpec {
    type Target = dyn Spec;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl From<Box<dyn Spec>> for NodeSpec {
    fn from(spec: Box<dyn Spec>) -> Self {
        Self(spec.into())
    }
}

impl PartialEq for NodeSpec {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_same(&*other.0)
    }
}

impl Eq for NodeSpec {}

impl fmt::Debug for NodeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for NodeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_kinds_have_the_same_scheme() {
        let schemes: Vec<&str> = KINDS.iter().flat_map(|kind| kind.schemes.iter().copied()).collect();
        for (position, scheme) in schemes.iter().enumerate() {
            assert!(!schemes[position + 1..].contains(scheme), "{scheme}");
        }
    }
}
