//! The hot parts, one by one: `cargo bench`. What users notice is measured by `make bench`.
//!
//! `LARGE=1` adds a branch of 1,000,000 keys, which takes some minutes to make.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a benchmark may fail loudly")]

#[path = "hot/branch.rs"]
mod branch;
#[path = "hot/prefer.rs"]
mod prefer;
#[path = "hot/protocol.rs"]
mod protocol;
#[path = "hot/store.rs"]
mod store;

fn main() {
    divan::main();
}
