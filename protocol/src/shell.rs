//! git-annex-shell command lines.
