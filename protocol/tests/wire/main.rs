//! Properties and recorded vectors of the wire formats: keys, P2P and its HTTP form, external special remotes, git-annex-shell.

mod external;
mod key;
mod p2p;
mod p2p_http;
mod shell;
mod strategy;
