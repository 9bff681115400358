//! Doors: who talks to us, and for what.

pub mod hook;
pub mod notify;
pub mod p2p;
pub mod shell;
mod wire;
