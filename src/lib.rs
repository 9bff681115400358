//! annex-keep: one program that puts real storage behind git-annex.
//!
//! Data flows one way: door (`serve`, `special_remote`) → `annex_gateway` → `keep_store`.
//! ARCHITECTURE.md says who may use whom; Cargo and `tests/layers.rs` check it.

pub mod assemble;
pub mod catalogue;
pub mod cli;
pub mod database;
pub mod error;
pub mod repo;
pub mod serve;
pub mod special_remote;
