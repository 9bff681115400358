//! Doors: who talks to us, and for what.

pub mod conversation;
pub mod hook;
pub mod http;
pub mod notify;
pub mod p2p;
pub mod shell;
pub mod socket;
pub mod ssh;
