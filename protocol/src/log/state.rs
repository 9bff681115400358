//! What special remotes remember about a key: `.log.rmt` and `.log.cid`. Source: `docs/spec/git-annex-branch.md` §5.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::field::{Layout, Record};
use crate::uuid::Uuid;

/// Free text that a special remote keeps for a key (`SETSTATE`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteState(pub Vec<u8>);

/// The versions of a content that an importing remote has seen, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContentIdentifiers(pub Vec<Vec<u8>>);

impl Record for RemoteState {
    const LAYOUT: Layout = Layout::ClockFirst;
    type Field = Uuid;

    fn parse(text: &[u8]) -> Option<Self> {
        Some(Self(text.to_vec()))
    }

    fn write(&self) -> Vec<u8> {
        self.0.clone()
    }
}

impl Record for ContentIdentifiers {
    const LAYOUT: Layout = Layout::ClockFirst;
    type Field = Uuid;

    fn parse(text: &[u8]) -> Option<Self> {
        let identifier = |part: &[u8]| match part.strip_prefix(b"!") {
            Some(encoded) => STANDARD.decode(encoded).ok(),
            None => Some(part.to_vec()),
        };
        text.split(|byte| *byte == b':').map(identifier).collect::<Option<_>>().map(Self)
    }

    fn write(&self) -> Vec<u8> {
        let identifiers = self.0.iter().map(|identifier| {
            let plain = !identifier.starts_with(b"!") && !identifier.iter().any(|byte| b":\r\n".contains(byte));
            if plain { identifier.clone() } else { format!("!{}", STANDARD.encode(identifier)).into_bytes() }
        });
        identifiers.collect::<Vec<_>>().join(&b':')
    }
}
