//! Protocol versions.

/// A version of the protocol that both sides agreed to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// What a client speaks that sends no VERSION.
    #[default]
    V0,
    /// VALID and INVALID follow the data.
    V1,
    /// `-PLUS` replies and BYPASS.
    V2,
    /// GETTIMESTAMP and REMOVE-BEFORE.
    V3,
    /// DATA-PRESENT.
    V4,
}

impl Version {
    /// The newest version that this crate speaks.
    pub const MAX: Self = Self::V4;

    /// Returns the version to use with a peer that offers `offered`: the lower of that and [`Version::MAX`].
    pub fn negotiate(offered: u64) -> Self {
        match offered {
            0 => Self::V0,
            1 => Self::V1,
            2 => Self::V2,
            3 => Self::V3,
            _ => Self::V4,
        }
    }

    /// Returns the number that stands in a VERSION message.
    pub fn number(self) -> u64 {
        match self {
            Self::V0 => 0,
            Self::V1 => 1,
            Self::V2 => 2,
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }

    /// Tells whether VALID or INVALID follows the data of GET and PUT.
    pub fn has_validity(self) -> bool {
        self >= Self::V1
    }

    /// Tells whether the client understands `-PLUS` replies.
    pub fn has_plus(self) -> bool {
        self >= Self::V2
    }

    /// Tells whether the peer understands BYPASS. Servers accept it at any version.
    pub fn has_bypass(self) -> bool {
        self >= Self::V2
    }

    /// Tells whether the peer understands GETTIMESTAMP and REMOVE-BEFORE. Servers accept both at any version.
    pub fn has_remove_before(self) -> bool {
        self >= Self::V3
    }

    /// Tells whether the client may answer PUT-FROM with DATA-PRESENT.
    pub fn has_data_present(self) -> bool {
        self >= Self::V4
    }
}
