//! How long locks last: one promise, which the site, its nodes and its doors keep together.
//!
//! Source: `docs/spec/p2p-protocol.md` §6.

use std::time::Duration;

/// How long a lock holds after it was granted or renewed, even if its connection breaks. Clients rely on that time: while it
/// lasts they remove other copies.
pub const LOCKED: Duration = Duration::from_secs(600);

/// How many seconds are added to the present time where a lock's end is written down in whole seconds. It is one more than
/// [`LOCKED`]: the present time is rounded down, so that a lock could end up to a second early otherwise.
pub const LOCKED_SECONDS: u64 = LOCKED.as_secs() + 1;

/// How often a lock that a connection holds is renewed. It is a tenth of [`LOCKED`], so a few failed renewals do no harm.
pub const RENEW_EVERY: Duration = Duration::from_secs(60);
