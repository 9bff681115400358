//! The files of the git-annex branch.
