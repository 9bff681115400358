//! `remote.log`: how special remotes are configured. Source: `docs/spec/git-annex-branch.md` §5.

use std::collections::BTreeMap;

use super::field::{Layout, Record};
use super::lines::words;
use crate::uuid::Uuid;

/// The settings of a special remote that all clones share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteConfig(pub BTreeMap<Vec<u8>, Vec<u8>>);

impl RemoteConfig {
    /// Returns one setting.
    pub fn setting(&self, name: &[u8]) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// Returns the remote's name: `name`, or `sameas-name` for one that shares another's store.
    pub fn name(&self) -> Option<&[u8]> {
        self.setting(b"name").or_else(|| self.setting(b"sameas-name"))
    }

    /// Returns the UUID of the repository whose content this remote gives access to, if that is not its own.
    ///
    /// Location logs use that UUID; state logs use the one that the configuration stands under.
    pub fn sameas(&self) -> Option<Uuid> {
        Uuid::parse(self.setting(b"sameas-uuid")?)
    }
}

impl Record for RemoteConfig {
    const LAYOUT: Layout = Layout::ClockLast;
    type Field = Uuid;

    fn parse(text: &[u8]) -> Option<Self> {
        let setting = |word: &[u8]| {
            let equals = word.iter().position(|byte| *byte == b'=').unwrap_or(word.len());
            let (name, value) = word.split_at(equals);
            (name.to_vec(), unescape(value.get(1..).unwrap_or_default()))
        };
        Some(Self(words(text).map(setting).collect()))
    }

    /// Names must be free of white space and `=`.
    fn write(&self) -> Vec<u8> {
        let words: Vec<_> = self.0.iter().map(|(name, value)| [name, &b"="[..], &escape(value)].concat()).collect();
        words.join(&b' ')
    }
}

/// Writes white space and `&` as `&` + decimal code point + `;`.
fn escape(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for chunk in value.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '&' || c.is_whitespace() {
                out.extend_from_slice(format!("&{};", u32::from(c)).as_bytes());
            } else {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        out.extend_from_slice(chunk.invalid());
    }
    out
}

fn unescape(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((byte, after)) = rest.split_first() {
        match entity(rest) {
            Some((c, after)) => {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = after;
            }
            None => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    out
}

fn entity(text: &[u8]) -> Option<(char, &[u8])> {
    let rest = text.strip_prefix(b"&")?;
    // The largest code point has seven digits; looking further would make many lone `&` quadratic.
    let end = rest.iter().take(8).position(|byte| *byte == b';')?;
    let code = super::lines::decimal(rest.get(..end)?)?;
    Some((char::from_u32(u32::try_from(code).ok()?)?, rest.get(end + 1..)?))
}
