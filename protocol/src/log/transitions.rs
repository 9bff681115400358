//! `transitions.log`: rewrites of the whole branch. Source: `docs/spec/git-annex-branch.md` §9.

use std::collections::BTreeSet;

use super::clock::Clock;
use super::lines::lines;

/// A rewrite of the git-annex branch that every clone has to follow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transition {
    /// The branch starts anew, without its history.
    ForgetGitHistory,
    /// Lines of dead repositories are removed.
    ForgetDeadRemotes,
    /// Any other line: a writer that meets it must stop.
    Unknown(Vec<u8>),
}

/// The transitions that a branch went through.
///
/// Branches whose logs differ must not be union-merged; compare with `==`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransitionLog(pub BTreeSet<(Transition, Option<Clock>)>);

impl TransitionLog {
    /// Reads a file's content: lines `Name TS`.
    pub fn parse(content: &[u8]) -> Self {
        Self(lines(content).map(parse_line).collect())
    }

    /// Tells whether a transition stands here that this version does not know.
    pub fn has_unknown(&self) -> bool {
        self.0.iter().any(|(transition, _)| matches!(transition, Transition::Unknown(_)))
    }
}

fn parse_line(line: &[u8]) -> (Transition, Option<Clock>) {
    let known = line.iter().position(|byte| *byte == b' ').and_then(|space| {
        let (name, clock) = line.split_at(space);
        let transition = match name {
            b"ForgetGitHistory" => Transition::ForgetGitHistory,
            b"ForgetDeadRemotes" => Transition::ForgetDeadRemotes,
            _ => return None,
        };
        Some((transition, Some(Clock::parse(clock.get(1..)?)?)))
    });
    known.unwrap_or_else(|| (Transition::Unknown(line.to_vec()), None))
}
