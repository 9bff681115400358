//! What clients ask for, by name.

use std::fmt;

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Whether content is there.
    CheckPresent,
    /// Content.
    Get,
    /// To store content.
    Put,
    /// To remove content.
    Remove,
    /// To keep content from being removed.
    Lock,
}

impl Operation {
    /// Returns its name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CheckPresent => "checkpresent",
            Self::Get => "get",
            Self::Put => "put",
            Self::Remove => "remove",
            Self::Lock => "lock",
        }
    }

    /// Tells whether content moves, so that it is shown among the transfers under way.
    pub(super) fn moves_content(self) -> bool {
        matches!(self, Self::Get | Self::Put)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
