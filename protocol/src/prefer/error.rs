//! Why an expression cannot be read.

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// A word that is no term.
    #[error("{:?} is no term of a preferred content expression", String::from_utf8_lossy(.0))]
    UnknownTerm(Vec<u8>),
    /// A term whose value cannot be read.
    #[error("the value of {:?} cannot be understood", String::from_utf8_lossy(.0))]
    BadValue(Vec<u8>),
    /// Parentheses and `not`s stand one inside the other more than a hundred deep. git-annex has no such limit.
    #[error("nested too deeply")]
    TooDeep,
}
