//! What a human should be told about an expression. Source: `docs/spec/preferred-content.md` §3 and §11.

use std::fmt;

use super::error::SyntaxError;
use super::expression::{Expression, Fold, Join, Operand};
use super::term::Test;

/// Something in an expression that is probably not meant so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// The text cannot be read; the repository wants exactly what it has.
    Unreadable(SyntaxError),
    /// `and` after `or` without parentheses: `a or b and c` means `(a or b) and c`.
    NoPrecedence,
    /// An operator without an element, or empty parentheses.
    MissingElement,
    /// This term under a `not` makes the whole expression never true.
    UnstableNegation(Vec<u8>),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "{error}; the repository will want exactly what it has"),
            Self::NoPrecedence => f.write_str(
                "`and` does not bind tighter than `or`: `a or b and c` means `(a or b) and c`; use parentheses",
            ),
            Self::MissingElement => f.write_str("an operator has nothing to work on, or parentheses are empty"),
            Self::UnstableNegation(term) => {
                write!(f, "`not` applied to `{}` makes the expression never match", String::from_utf8_lossy(term))
            }
        }
    }
}

/// Returns what is doubtful about an expression, each kind of doubt once for each place.
///
/// Looks at the text alone: `standard` and `groupwanted` are taken to be fine.
pub fn lint(expression: &Expression) -> Vec<Warning> {
    let mut warnings = Vec::new();
    match (expression.error(), expression.fold()) {
        (Some(error), _) => warnings.push(Warning::Unreadable(error.clone())),
        (None, Some(fold)) => lint_fold(fold, false, &mut warnings),
        (None, None) => {}
    }
    warnings
}

fn lint_fold(fold: &Fold, negated: bool, warnings: &mut Vec<Warning>) {
    let or = fold.0.iter().position(|(join, _)| *join == Join::Or);
    if or.is_some_and(|or| fold.0.iter().skip(or).any(|(join, _)| *join == Join::And)) {
        warnings.push(Warning::NoPrecedence);
    }
    if fold.0.first().is_some_and(|(join, _)| *join == Join::Or) {
        warnings.push(Warning::MissingElement);
    }
    for (_, operand) in &fold.0 {
        lint_operand(operand, negated, warnings);
    }
}

fn lint_operand(operand: &Operand, negated: bool, warnings: &mut Vec<Warning>) {
    match operand {
        Operand::All => warnings.push(Warning::MissingElement),
        Operand::Not(operand) => lint_operand(operand, !negated, warnings),
        Operand::Group(fold) => lint_fold(fold, negated, warnings),
        Operand::Term(term) => {
            let unstable = match &term.test {
                Test::Present => true,
                Test::Balanced(balanced) => balanced.lazy,
                _ => false,
            };
            if negated && unstable {
                warnings.push(Warning::UnstableNegation(term.word().to_vec()));
            }
        }
    }
}
