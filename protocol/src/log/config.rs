//! `config.log`: git-annex settings that all clones share. Source: `docs/spec/git-annex-branch.md` §5.

use super::field::{Layout, Record};

/// The value of a setting such as `annex.largefiles`, verbatim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigValue(pub Vec<u8>);

impl ConfigValue {
    /// Returns the value as git-annex reads a boolean; `None` if it is none.
    ///
    /// ```
    /// # use annex_protocol::log::ConfigValue;
    /// assert_eq!(ConfigValue(b"Yes".to_vec()).as_bool(), Some(true));
    /// assert_eq!(ConfigValue(b"0".to_vec()).as_bool(), Some(false));
    /// assert_eq!(ConfigValue(b"maybe".to_vec()).as_bool(), None);
    /// ```
    pub fn as_bool(&self) -> Option<bool> {
        match self.0.to_ascii_lowercase().as_slice() {
            b"true" | b"yes" | b"on" => Some(true),
            b"false" | b"no" | b"off" | b"0" | b"" => Some(false),
            // As for git, any other number is true.
            number => number.iter().all(|b| b.is_ascii_digit() || *b == b'-').then_some(true),
        }
    }
}

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
