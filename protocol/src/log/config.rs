//! `config.log`: git-annex settings that all clones share. Source: spec `git-annex-branch.md` §5.

use super::field::{Layout, Record};

/// The value of a setting such as `annex.largefiles`, verbatim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigValue(pub Vec<u8>);

impl Record for ConfigValue {
    const LAYOUT: Layout = Layout::ClockFirst;
    type Field = Vec<u8>;

    fn parse(text: &[u8]) -> Option<Self> {
        Some(Self(text.to_vec()))
    }

    fn write(&self) -> Vec<u8> {
        self.0.clone()
    }
}
