//! Properties and recorded vectors of the wire formats: keys, P2P, external special remotes, git-annex-shell.

mod external;
mod key;
mod p2p;
mod shell;
mod strategy;
