//! The union merge. Source: `docs/spec/git-annex-branch.md` §7.

use std::collections::BTreeSet;

/// What a union merge of two versions of one file gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Union {
    /// The first version already holds every line: its blob stays.
    Ours,
    /// The second version already holds every line: its blob can be used as it is.
    Theirs,
    /// The lines of both: sorted bytewise, without duplicates.
    New(Vec<u8>),
}

impl Union {
    /// Returns the merged content, given the two versions that were merged.
    pub fn content<'a>(&'a self, ours: &'a [u8], theirs: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Ours => ours,
            Self::Theirs => theirs,
            Self::New(content) => content,
        }
    }
}

/// Merges two versions of a file of the git-annex branch.
///
/// Both are sets of lines; nothing is ever lost. A version is reused only if its last line is complete, so that a
/// writer may append to the result.
pub fn union(ours: &[u8], theirs: &[u8]) -> Union {
    if ours == theirs && complete(ours) {
        return Union::Ours;
    }
    let (our_lines, their_lines) = (line_set(ours), line_set(theirs));
    if complete(ours) && their_lines.is_subset(&our_lines) {
        return Union::Ours;
    }
    if complete(theirs) && our_lines.is_subset(&their_lines) {
        return Union::Theirs;
    }
    let mut merged = Vec::with_capacity(ours.len() + theirs.len() + 2);
    for line in our_lines.union(&their_lines) {
        merged.extend_from_slice(line);
        merged.push(b'\n');
    }
    Union::New(merged)
}

fn complete(content: &[u8]) -> bool {
    content.last().is_none_or(|byte| *byte == b'\n')
}

fn line_set(content: &[u8]) -> BTreeSet<&[u8]> {
    content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect()
}
