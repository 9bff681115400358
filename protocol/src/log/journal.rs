//! Names of files in git-annex's journal. Source: `docs/spec/git-annex-branch.md` §7 and §8 rule 14.

/// Returns the journal's file name for a path of the git-annex branch: `_` doubled, then `/` written as `_`.
pub fn journal_name(path: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(path.len() + 8);
    for byte in path {
        match byte {
            b'_' => name.extend_from_slice(b"__"),
            b'/' => name.push(b'_'),
            other => name.push(*other),
        }
    }
    name
}

/// Returns the path that git-annex commits a journal file to.
pub fn branch_path(name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(name.len());
    let mut bytes = name.iter().peekable();
    while let Some(byte) = bytes.next() {
        path.push(match byte {
            b'_' if bytes.next_if(|next| **next == b'_').is_some() => b'_',
            b'_' => b'/',
            other => *other,
        });
    }
    path
}

/// Tells whether git-annex would commit this path's journal file back to this path.
///
/// False for a path with a component that starts with `_`: such a path must be committed directly, never journalled.
pub fn journal_round_trips(path: &[u8]) -> bool {
    branch_path(&journal_name(path)) == path
}
