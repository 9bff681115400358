//! annex-keep: one program that puts real storage behind git-annex.
//!
//! Data flows one way: door (`serve`, `remote`) → `gateway` → `node` → `keep` → `store`.
//! ARCHITECTURE.md says who may import whom; `tests/layers.rs` checks it.

pub mod annex;
pub mod assemble;
pub mod catalogue;
pub mod cli;
pub mod clock;
pub mod database;
pub mod disk;
pub mod error;
pub mod gateway;
pub mod git;
pub mod index;
pub mod keep;
pub mod node;
pub mod remote;
pub mod repo;
pub mod s3;
pub mod serve;
pub mod site;
pub mod store;
pub mod stream;
pub mod task;
