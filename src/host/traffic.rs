//! What goes on: who does what, how much of it, within which limits, and the line that is logged about each request.
//!
//! A line of a request has these fields: `user`, `repository`, `door`, `operation`, `key`; `nodes` that have or gave the
//! content, by name; `bytes` of content that passed; `milliseconds` from its begin to its end; `outcome` (`done`, `no` or
//! `failed`); and if something failed, `kind` (a name of [`ErrorKind`](annex_gateway::gateway::ErrorKind), which says who
//! must act) and `reason` (a text for people). A request that is done may have a `kind` and a `reason`, too: why nodes were
//! left out.

mod account;
mod counters;
mod limits;
mod operation;
mod rates;
mod request;
mod turns;

pub use account::{Connected, Traffic, Transfer};
pub use counters::Counters;
pub use limits::{Busy, Crowded};
pub use operation::Operation;
pub use request::{Outcome, Request, Scope, Settled};
