//! Preferred content expressions: what a repository wants to hold.
//!
//! Source: `docs/spec/preferred-content.md`; vectors `preferred-content.json`, `preferred-content-key-only.json`,
//! `balanced.json`, `balanced-cases.json`.
//!
//! [`Placement`] holds what the logs say about all repositories, with the expressions parsed; build it once for each
//! version of the logs. A [`Question`] is about one key in one repository, and brings the facts about that key.
//! Every answer is the one that git-annex gives, oddities included: there is no precedence, one bad word turns the
//! whole expression into `present`, and `not present` is never true.

mod balance;
mod error;
mod evaluate;
mod expression;
mod glob;
mod lint;
mod number;
mod placement;
mod standard;
mod term;

pub use balance::pick;
pub use error::SyntaxError;
pub use expression::Expression;
pub use lint::{Warning, lint};
pub use number::size;
pub use placement::{KeyFacts, Placement, PlacementLogs, Question};

#[cfg(test)]
mod tests;
