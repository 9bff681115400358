//! What all doors of a process share: open repositories, who is asking, transfers under way, and what is told about them.

pub mod access;
pub mod caller;
pub mod claims;
pub mod git_service;
pub mod hub;
pub mod metrics;
pub mod repo;
pub mod status;
pub mod traffic;
