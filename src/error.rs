//! What an error means for the caller: exit code, protocol reply.

use std::process::ExitCode;

/// What a command's end means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It failed: exit code 1.
    Failed,
    /// It was called wrongly: exit code 2.
    Usage,
    /// A part was done, a part was not: exit code 3.
    Partly,
}

impl From<Kind> for ExitCode {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Failed => Self::from(1),
            Kind::Usage => Self::from(2),
            Kind::Partly => Self::from(3),
        }
    }
}

/// An error as a command shows it: one clear text, and what it means.
#[derive(Debug)]
pub struct Failure {
    /// What it means.
    pub kind: Kind,
    /// What happened, where, and what to do.
    pub text: String,
}

impl Failure {
    /// Makes a failure with exit code 1.
    pub fn failed(text: impl std::fmt::Display) -> Self {
        Self { kind: Kind::Failed, text: text.to_string() }
    }

    /// Makes a failure of usage, exit code 2.
    pub fn usage(text: impl std::fmt::Display) -> Self {
        Self { kind: Kind::Usage, text: text.to_string() }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            source = cause.source();
        }
        Self { kind: Kind::Failed, text }
    }
}
