//! How long locks last: one promise, which the site, its nodes and its doors keep together.
//!
//! Source: `docs/spec/p2p-protocol.md` §6.

use std::time::Duration;

/// A lock holds for so long after it was granted or renewed, whatever becomes of the connection that it came by. Clients
/// build on it: within that time they remove other copies.
pub const LOCKED: Duration = Duration::from_secs(600);

/// How many seconds away the end of a lock is written down where times are whole seconds. The present time was rounded down
/// to one, so that a lock of exactly [`LOCKED`] could end up to a second early.
pub const LOCKED_SECONDS: u64 = LOCKED.as_secs() + 1;

/// How often a lock that a connection holds is renewed: a few renewals that fail do no harm.
pub const RENEW_EVERY: Duration = Duration::from_secs(60);
