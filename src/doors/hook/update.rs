//! git's `update` hook: which references a pusher may move.
//!
//! Source: git's documentation of hooks (githooks, update).

use annex_gateway::branch::REF;
use annex_gateway::git::{Git, ObjectId};
use annex_gateway::site::user::Role;

use super::SYNCED_REF;

/// A reference that a client wants to move.
#[derive(Debug)]
pub struct Update<'a> {
    /// Its full name.
    pub name: &'a str,
    /// Where it points to; the null ID if it does not exist.
    pub old: ObjectId,
    /// Where it is to point to; the null ID to delete it.
    pub new: ObjectId,
}

/// Refuses, with the reason, what somebody with this role may not do to a reference.
///
/// git-annex merges every reference whose last component is `git-annex`, whoever made it. So one of another name would
/// bring in what was left out of the git-annex branch itself, as soon as an admin syncs.
pub fn check(git: &Git, role: Role, update: &Update<'_>) -> Result<(), String> {
    let Update { name, old, new } = update;
    let merged_by_clients = name.rsplit('/').next() == Some("git-annex") && ![REF, SYNCED_REF].contains(name);
    if merged_by_clients && !new.is_null() {
        return Err(format!("git-annex merges {name} wherever it finds it; push refs/heads/git-annex"));
    }
    if role >= Role::Write || old.is_null() {
        return Ok(());
    }
    if new.is_null() {
        return Err(format!("only those with the role write may delete {name}"));
    }
    // What is no commit, as an annotated tag, has no history that it could go on.
    if name.starts_with("refs/heads/") && git.is_ancestor(*old, *new).unwrap_or(false) {
        return Ok(());
    }
    Err(format!("only those with the role write may move {name} to something that does not follow on it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_goes_on_with_append_and_is_rewritten_with_write_only() {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::init_bare(&dir.path().join("r.git")).unwrap();
        let tree = git.edit_tree(None, &[]).unwrap();
        let first = git.commit(tree, &[], "first", 1).unwrap();
        let second = git.commit(tree, &[first], "second", 2).unwrap();
        let other = git.commit(tree, &[], "other", 3).unwrap();
        let none = ObjectId::null(first.kind());
        let (main, tag) = ("refs/heads/main", "refs/tags/v1");
        for (name, old, new, append) in [
            (main, none, first, true),
            (main, first, second, true),
            (main, second, first, false),
            (main, first, other, false),
            (main, first, none, false),
            (tag, none, first, true),
            (tag, first, second, false),
            (tag, first, none, false),
            ("refs/notes/commits", first, second, false),
        ] {
            let may = |role| check(&git, role, &Update { name, old, new });
            assert_eq!(may(Role::Append).is_ok(), append, "{name} {old} {new}: {:?}", may(Role::Append));
            assert!(may(Role::Write).is_ok());
        }
    }

    #[test]
    fn nothing_else_is_called_git_annex() {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::init_bare(&dir.path().join("r.git")).unwrap();
        let commit = git.commit(git.edit_tree(None, &[]).unwrap(), &[], "first", 1).unwrap();
        let none = ObjectId::null(commit.kind());
        for name in ["refs/heads/x/git-annex", "refs/tags/git-annex", "refs/git-annex", "refs/remotes/origin/git-annex"]
        {
            assert!(check(&git, Role::Admin, &Update { name, old: none, new: commit }).is_err(), "{name}");
            assert!(check(&git, Role::Admin, &Update { name, old: commit, new: none }).is_ok(), "it may go: {name}");
        }
        for name in [REF, SYNCED_REF, "refs/heads/git-annex-work", "refs/heads/git-annex/x"] {
            assert!(check(&git, Role::Append, &Update { name, old: none, new: commit }).is_ok(), "{name}");
        }
    }
}
