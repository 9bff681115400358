//! annex-keep: one program that puts real storage behind git-annex.
//!
//! Data flows one way: door (`doors`, `special_remote`) → `host` → `annex_gateway` → `keep_store`.
//! ARCHITECTURE.md says who may use whom; Cargo and `tests/layers.rs` check it.

pub mod arvados;
pub mod assemble;
pub mod cli;
pub mod doors;
pub mod error;
pub mod host;
pub mod special_remote;
pub mod upkeep;
