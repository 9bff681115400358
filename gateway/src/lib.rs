//! A cluster of storage nodes behind one git-annex repository.
//!
//! [`gateway`] decides where a key goes and asks the nodes; [`node`] is the port for a place that holds content, with a
//! folder for each kind; [`branch`] is the git-annex branch as a table; [`site`] is a directory with configuration, users
//! and locks. Nothing here knows how a request came in.

pub mod branch;
pub mod database;
pub mod gateway;
pub mod git;
pub mod lock_time;
pub mod node;
pub mod pace;
pub mod site;
pub mod spool;
pub mod wire;
