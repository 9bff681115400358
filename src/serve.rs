//! Doors: who talks to us, and for what.

pub mod arvados;
pub mod caller;
pub mod conversation;
mod git;
pub mod hook;
pub mod http;
pub mod hub;
pub mod keep;
mod metrics;
pub mod notify;
pub mod p2p;
pub mod shell;
pub mod socket;
pub mod ssh;
pub mod status;
pub mod traffic;
pub mod worker;

pub use git::{NO_PLACEMENT, POLICY};
