//! Why a node did not do what it was asked.

use std::io;
use std::path::Path;

/// Why a node did not do what it was asked. Content that is not there is no error: it is an answer.
///
/// The variant says who has to act; the text is for people, and nothing is decided by it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// It cannot be asked now, so whether it has the content is unknown. The gateway asks others, and this node again
    /// later; if it lasts, whoever runs the node has to bring it back.
    #[error("not reachable: {0}")]
    Unreachable(String),
    /// It can be asked, and others are at work there with the same content. Whoever asked tries again later; nobody has
    /// to mend anything.
    #[error("{0}")]
    Busy(String),
    /// It has no room. The gateway stores elsewhere; whoever runs the node has to make room.
    #[error("full: {0}")]
    Full(String),
    /// The content is locked there against removal. Whoever wants it removed waits until those who hold it let it go.
    #[error("{0}")]
    Locked(String),
    /// What it has is not the content of the key. The gateway takes other copies and repairs this one; whoever runs the
    /// node should look at its disk.
    #[error("{0}")]
    Damaged(String),
    /// It does not let this gateway do that. Whoever runs the site has to correct credentials or permissions.
    #[error("{0}")]
    Denied(String),
    /// It never does that, by its kind or its settings. Whoever runs the site stores such keys elsewhere, or changes the
    /// settings that the text names.
    #[error("{0}")]
    Unsupported(String),
    /// What it was sent is not all of the content, or more than it was told. Whoever sends has to send it again.
    #[error("{0}")]
    WrongUpload(String),
    /// It was asked, and failed otherwise. Whoever runs the node has to look why.
    #[error("{0}")]
    Failed(String),
}

/// What a [`NodeError`] says without its text, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeErrorKind {
    /// [`NodeError::Unreachable`].
    Unreachable,
    /// [`NodeError::Busy`].
    Busy,
    /// [`NodeError::Full`].
    Full,
    /// [`NodeError::Locked`].
    Locked,
    /// [`NodeError::Damaged`].
    Damaged,
    /// [`NodeError::Denied`].
    Denied,
    /// [`NodeError::Unsupported`].
    Unsupported,
    /// [`NodeError::WrongUpload`].
    WrongUpload,
    /// [`NodeError::Failed`].
    Failed,
}

impl NodeErrorKind {
    /// Makes an error of this kind.
    pub fn because(self, text: impl Into<String>) -> NodeError {
        let text = text.into();
        match self {
            Self::Unreachable => NodeError::Unreachable(text),
            Self::Busy => NodeError::Busy(text),
            Self::Full => NodeError::Full(text),
            Self::Locked => NodeError::Locked(text),
            Self::Damaged => NodeError::Damaged(text),
            Self::Denied => NodeError::Denied(text),
            Self::Unsupported => NodeError::Unsupported(text),
            Self::WrongUpload => NodeError::WrongUpload(text),
            Self::Failed => NodeError::Failed(text),
        }
    }
}

impl NodeError {
    /// Returns what kind of error this is.
    pub fn kind(&self) -> NodeErrorKind {
        match self {
            Self::Unreachable(_) => NodeErrorKind::Unreachable,
            Self::Busy(_) => NodeErrorKind::Busy,
            Self::Full(_) => NodeErrorKind::Full,
            Self::Locked(_) => NodeErrorKind::Locked,
            Self::Damaged(_) => NodeErrorKind::Damaged,
            Self::Denied(_) => NodeErrorKind::Denied,
            Self::Unsupported(_) => NodeErrorKind::Unsupported,
            Self::WrongUpload(_) => NodeErrorKind::WrongUpload,
            Self::Failed(_) => NodeErrorKind::Failed,
        }
    }

    /// Returns the reason alone, without the words that name the kind.
    pub fn reason(&self) -> &str {
        match self {
            Self::Unreachable(text)
            | Self::Busy(text)
            | Self::Full(text)
            | Self::Locked(text)
            | Self::Damaged(text)
            | Self::Denied(text)
            | Self::Unsupported(text)
            | Self::WrongUpload(text)
            | Self::Failed(text) => text,
        }
    }

    /// Makes a failure with a file an error that names the file.
    pub fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |error| {
            let error = Self::from(error);
            error.kind().because(format!("{path}: {}", error.reason()))
        }
    }
}

/// An error of a stream that a node gave may hold the node's own error, which is the same as it was.
impl From<io::Error> for NodeError {
    fn from(error: io::Error) -> Self {
        if let Some(own) = error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()) {
            return own.clone();
        }
        let kind = match error.kind() {
            io::ErrorKind::TimedOut => NodeErrorKind::Unreachable,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => NodeErrorKind::Full,
            io::ErrorKind::PermissionDenied => NodeErrorKind::Denied,
            _ => NodeErrorKind::Failed,
        };
        kind.because(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_told_apart_and_keeps_its_reason() {
        use NodeErrorKind as K;
        let all = [
            K::Unreachable,
            K::Busy,
            K::Full,
            K::Locked,
            K::Damaged,
            K::Denied,
            K::Unsupported,
            K::WrongUpload,
            K::Failed,
        ];
        for kind in all {
            let error = kind.because("why");
            assert_eq!((error.kind(), error.reason()), (kind, "why"));
            assert!(error.to_string().ends_with("why"));
        }
    }

    #[test]
    fn a_systems_error_becomes_the_kind_that_it_is_and_names_the_file() {
        let of = |kind: io::ErrorKind| NodeError::at(Path::new("/a"))(io::Error::new(kind, "x"));
        assert_eq!(of(io::ErrorKind::TimedOut), NodeError::Unreachable("/a: x".to_owned()));
        assert_eq!(of(io::ErrorKind::StorageFull), NodeError::Full("/a: x".to_owned()));
        assert_eq!(of(io::ErrorKind::QuotaExceeded), NodeError::Full("/a: x".to_owned()));
        assert_eq!(of(io::ErrorKind::PermissionDenied), NodeError::Denied("/a: x".to_owned()));
        assert_eq!(of(io::ErrorKind::BrokenPipe), NodeError::Failed("/a: x".to_owned()));
    }

    #[test]
    fn an_error_that_went_through_a_stream_comes_out_as_it_was() {
        let error = NodeError::Damaged("bad".to_owned());
        assert_eq!(NodeError::from(io::Error::other(error.clone())), error);
    }
}
