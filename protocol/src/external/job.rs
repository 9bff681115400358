//! The prefix of ASYNC.

use nom::Parser;
use nom::bytes::complete::tag;
use nom::combinator::map_opt;
use nom::sequence::preceded;

use crate::line::{field, number};

/// The number of a job: `J 1 `, before every line but VERSION, EXTENSIONS and ERROR once ASYNC is agreed to.
///
/// Source: `docs/spec/external-special-remote.md` §8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Job(pub u64);

impl Job {
    /// Splits a line into its job and the message; `None` if it has no such prefix.
    pub fn parse(line: &[u8]) -> Option<(Self, &[u8])> {
        let (message, job) = preceded(tag(&b"J "[..]), map_opt(field, number))
            .parse(line)
            .ok()
            .map(|(message, number): (&[u8], u64)| (message, Self(number)))?;
        Some((job, message))
    }

    /// Appends the prefix with the space after it; the message is to follow.
    pub fn write_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("J {} ", self.0).as_bytes());
    }
}
