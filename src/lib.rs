//! annex-keep: one program that puts real storage behind git-annex.
//!
//! Data flows one way: door (`serve`, `remote`) → `gateway` → `node` → `keep` → `store`.
//! ARCHITECTURE.md says who may import whom; `tests/layers.rs` checks it.

pub mod cli;
pub mod git;
pub mod error;
pub mod index;
pub mod keep;
pub mod remote;
pub mod store;
pub mod stream;
