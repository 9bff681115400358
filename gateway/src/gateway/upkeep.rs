//! Keeping a repository's copies as they should be: what nobody's request does by the way.
//!
//! Each of these takes a [`Gateway`](super::Gateway) and works through one key, one node or the whole repository.

mod claims;
mod drain;
mod due;
mod explain;
mod probe;
mod proof;
mod refill;
mod repair;
mod scrub;
mod surplus;
mod survey;

pub use claims::look_again;
pub use drain::{Drained, drain};
pub use due::{Due, copies_due};
pub use explain::{Explained, OnNode, explain};
pub use probe::{Tried, probe};
pub use refill::{Refilled, Stage, refill};
pub use repair::{Repaired, repair};
pub(super) use scrub::condemn_soon;
pub use scrub::{CopyState, scrub};
pub use surplus::drop_surplus;
pub use survey::{Surveyed, look_at_lost, placement_fingerprint, survey};
