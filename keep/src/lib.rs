#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! * [`store`] is the port for blocks by hash: a directory or a bucket in keepstore's own layout, Keep servers, memory, or
//!   several of these as one.
//! * [`entries`] keeps named contents on top of blocks: [`entries::KeepStore`].
//! * [`index`] is the port for what is where; SQLite is its adapter.
//! * [`service`] makes several stores one keepstore: volumes, signed locators, trash and pull lists.
//!
//! Data flows one way: service → entries → store, with the index beside it. [`base`] holds what all of it stands on, and
//! what the other crates of annex-keep use too.

pub mod base;
pub mod entries;
pub mod index;
pub mod s3;
pub mod service;
pub mod store;
