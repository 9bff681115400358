//! Why a request fails.

use super::host::Ended;

/// Why what a request asks for is not done.
pub(super) enum Trouble {
    /// It failed, with this text for the user.
    Failed(String),
    /// The whole conversation is over.
    Ended(Ended),
}

impl Trouble {
    pub(super) fn failed(text: String) -> Self {
        Self::Failed(text)
    }

    /// Returns the text for the user, unless the conversation is over.
    pub(super) fn text(self) -> Result<String, Ended> {
        match self {
            Self::Failed(text) => Ok(text),
            Self::Ended(ended) => Err(ended),
        }
    }
}

impl From<Ended> for Trouble {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

impl<E: std::error::Error> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}
