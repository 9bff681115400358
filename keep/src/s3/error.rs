//! What went wrong, in a line, by what can be done about it.

use std::error::Error;
use std::io;

use object_store::client::HttpError;

/// Why an S3 server did not do what it was asked. The text names bucket and server, and no credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum S3Error {
    /// It cannot be asked now.
    #[error("{0}")]
    Unreachable(String),
    /// It has no room, or the bucket's quota is used up.
    #[error("{0}")]
    Full(String),
    /// It was asked, and failed or refused.
    #[error("{0}")]
    Failed(String),
}

/// What servers of several makes answer when they have no room.
const NO_ROOM: [&str; 4] = ["QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "EntityTooLargeForQuota"];

/// The most of an answer that goes into an error.
const ENOUGH: usize = 300;

impl S3Error {
    /// Makes the error of what was tried on `place`.
    pub(super) fn new(place: &str, error: &object_store::Error) -> Self {
        let text = error.to_string();
        let (code, message) = (element(&text, "Code"), element(&text, "Message"));
        let status = status(&text);
        let said = match (code, message) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.to_owned(),
            // An answer without a text is told by its status: the rest would be the address once more.
            _ => status.map_or_else(|| deepest(error), |status| format!("the server answers {status}")),
        };
        let said: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(ENOUGH).collect();
        let text = format!("{place}: {said}");
        match (code, status) {
            (Some(code), _) if NO_ROOM.contains(&code) => Self::Full(text),
            (_, Some(507)) => Self::Full(text),
            (Some("NoSuchBucket"), _) | (_, Some(429 | 500..)) => Self::Unreachable(text),
            (None, None) if is_http(error) => Self::Unreachable(text),
            _ => Self::Failed(text),
        }
    }
}

impl From<S3Error> for io::Error {
    fn from(error: S3Error) -> Self {
        let kind = match error {
            S3Error::Unreachable(_) => io::ErrorKind::TimedOut,
            S3Error::Full(_) => io::ErrorKind::StorageFull,
            S3Error::Failed(_) => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// Returns the text of an element of the server's answer.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inside, _) = rest.split_once(&format!("</{name}>"))?;
    Some(inside.trim()).filter(|inside| !inside.is_empty())
}

/// Returns the status that the server answered with.
fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

fn is_http(error: &object_store::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(this) = cause {
        if this.downcast_ref::<HttpError>().is_some() {
            return true;
        }
        cause = this.source();
    }
    false
}

fn deepest(error: &object_store::Error) -> String {
    let mut cause: &(dyn Error + 'static) = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> S3Error {
        S3Error::new("s3://b/", &object_store::Error::Generic { store: "S3", source: text.to_owned().into() })
    }

    #[test]
    fn an_answer_is_told_by_its_code_and_message_alone() {
        let answer = "Server returned non-2xx status code: 403 Forbidden: <?xml version=\"1.0\"?><Error><Code>\
            InvalidAccessKeyId</Code><Message>It does not exist.</Message><AWSAccessKeyId>AKIA</AWSAccessKeyId></Error>";
        assert_eq!(said(answer), S3Error::Failed("s3://b/: InvalidAccessKeyId: It does not exist.".to_owned()));
        assert_eq!(
            said("status code: 503 Service Unavailable: "),
            S3Error::Unreachable("s3://b/: the server answers 503".to_owned())
        );
        let full = "status code: 400 Bad: <Error><Code>QuotaExceeded</Code><Message>no</Message></Error>";
        assert_eq!(said(full), S3Error::Full("s3://b/: QuotaExceeded: no".to_owned()));
        assert!(matches!(said("status code: 404: <Code>NoSuchBucket</Code>"), S3Error::Unreachable(_)));
        assert!(matches!(said("what"), S3Error::Failed(_)));
    }
}
