//! Protocol extensions and their negotiation.

use std::fmt;

use super::param::Param;
use crate::line::words;

/// An extension of the protocol that this crate knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Extension {
    /// The program may send INFO.
    Info,
    /// The program may ask GETGITREMOTENAME.
    GetGitRemoteName,
    /// The program may answer AVAILABILITY UNAVAILABLE.
    UnavailableResponse,
    /// The program may answer TRANSFER-RETRIEVE-URL.
    TransferRetrieveUrl,
    /// The program may answer CHECKPRESENT-URL.
    CheckPresentUrl,
    /// The program promises to answer IMPORTKEY.
    ImportKey,
    /// The program may answer DELEGATE.
    Delegate,
    /// Lines carry job numbers.
    Async,
}

/// The words of an EXTENSIONS message, known or not, in their order.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Extensions(Vec<Box<[u8]>>);

impl Extension {
    /// Returns the word that stands for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::GetGitRemoteName => "GETGITREMOTENAME",
            Self::UnavailableResponse => "UNAVAILABLERESPONSE",
            Self::TransferRetrieveUrl => "TRANSFER-RETRIEVE-URL",
            Self::CheckPresentUrl => "CHECKPRESENT-URL",
            Self::ImportKey => "IMPORTKEY",
            Self::Delegate => "DELEGATE",
            Self::Async => "ASYNC",
        }
    }
}

impl Extensions {
    /// Tells whether the extension is listed.
    pub fn contains(&self, extension: Extension) -> bool {
        self.0.iter().any(|word| **word == *extension.as_str().as_bytes())
    }

    /// Returns those of ours that the host offered: what a program replies.
    pub fn negotiate(offered: &Self, ours: &[Extension]) -> Self {
        ours.iter().copied().filter(|extension| offered.contains(*extension)).collect()
    }

    /// Returns the words that `offered` lacks: a reply that has some is fatal.
    pub fn not_in<'a>(&'a self, offered: &'a Self) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(|word| !offered.0.contains(word)).map(|word| &**word)
    }
}

impl FromIterator<Extension> for Extensions {
    fn from_iter<I: IntoIterator<Item = Extension>>(extensions: I) -> Self {
        Self(extensions.into_iter().map(|extension| extension.as_str().as_bytes().into()).collect())
    }
}

impl Param for Extensions {
    fn parse(field: &[u8]) -> Option<Self> {
        Some(Self(words(field).map(Into::into).collect()))
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.join(&b' '));
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extensions({})", self.0.join(&b' ').escape_ascii())
    }
}
