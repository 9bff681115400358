//! The promises of block stores, run for every adapter and decorator.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;

use keep_store::store::memory::MemoryStore;
use keep_store::store::volumes::{Volume, Volumes};

#[path = "contract/store.rs"]
mod contract;
#[path = "support/keepstore.rs"]
mod keepstore;
#[path = "support/moto.rs"]
mod moto;
#[path = "store/places.rs"]
mod places;
#[path = "store/s3.rs"]
mod s3;
#[path = "store/servers.rs"]
mod servers;
#[path = "store/volumes.rs"]
mod volumes;
