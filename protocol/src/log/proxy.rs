//! `proxy.log`: what repositories are proxies for. Source: `docs/spec/git-annex-branch.md` §5,
//! `docs/spec/git-annex-shell.md` §4.1.

use std::collections::BTreeSet;

use super::field::{Layout, Record};
use super::lines::words;
use crate::uuid::Uuid;

/// One repository (or cluster) that can be reached through a proxy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proxied {
    /// Its UUID.
    pub uuid: Uuid,
    /// The name that clients append to the proxy's: `origin` and `node1` give `origin-node1`.
    pub name: Vec<u8>,
}

/// Everything that one repository is a proxy for; empty when it no longer is one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxiedRemotes(pub BTreeSet<Proxied>);

impl Proxied {
    /// Returns the entry, or `None` if `name` cannot be a git remote's name: clients would ignore it.
    ///
    /// Such a name is made of letters, digits, `_`, `-` and `.`, and starts with neither `-` nor `.`.
    pub fn new(uuid: Uuid, name: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(name).ok()?;
        let legal = text.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c));
        (legal && !text.is_empty() && !text.starts_with(['-', '.'])).then(|| Self { uuid, name: name.to_vec() })
    }
}

impl Record for ProxiedRemotes {
    const LAYOUT: Layout = Layout::ClockFirst;
    type Field = Uuid;

    /// Words that are not `uuid:name` with a legal name are ignored.
    fn parse(text: &[u8]) -> Option<Self> {
        let proxied = |word: &[u8]| {
            let colon = word.iter().position(|byte| *byte == b':')?;
            Proxied::new(Uuid::parse(word.get(..colon)?)?, word.get(colon + 1..)?)
        };
        Some(Self(words(text).filter_map(proxied).collect()))
    }

    fn write(&self) -> Vec<u8> {
        let words: Vec<_> =
            self.0.iter().map(|proxied| [proxied.uuid.as_bytes(), b":", &proxied.name].concat()).collect();
        words.join(&b' ')
    }
}
