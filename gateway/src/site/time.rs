//! The site's monotonic clock: what GETTIMESTAMP tells and deadlines are measured by.
//!
//! One clock for all connections and processes of a site. It counts like this machine's clock since boot (time asleep
//! included), from a base that is set anew after each boot, so that it neither jumps when the wall clock is set nor
//! falls back when the machine is started again.
//!
//! Source: `docs/spec/p2p-protocol.md` §6.1 and §7.

use super::database::Sql;
use super::{Site, SiteError};
use crate::lock_time::LOCKED_SECONDS;

/// How old, in seconds, the newest time on record may be before it is written again.
const RECORD_EVERY: u64 = 60;

impl Site {
    /// Returns the site's time in whole seconds.
    pub fn now(&self) -> Result<u64, SiteError> {
        let file = |source| SiteError::File { path: "/proc/sys/kernel/random/boot_id".into(), source };
        let boot = self.clock().boot().map_err(file)?;
        let seconds = self.clock().since_boot().map_err(file)?.as_secs();
        let select = "SELECT boot, base, last FROM time";
        let recorded = |sql: &Sql<'_>| sql.first::<(String, u64, u64)>(select, []);
        if let Some((recorded_boot, base, last)) = self.database().read(recorded)? {
            let now = base.saturating_add(seconds);
            if *recorded_boot == *boot && now < last + RECORD_EVERY {
                return Ok(now);
            }
        }
        self.database().write(|sql| {
            let base = match recorded(sql)? {
                Some((recorded_boot, base, _)) if *recorded_boot == *boot => base,
                Some((_, _, last)) => base_after_boot(self.clock().unix_seconds(), last, seconds),
                None => self.clock().unix_seconds().saturating_sub(seconds),
            };
            let now = base.saturating_add(seconds);
            let upsert = "INSERT INTO time (one, boot, base, last) VALUES (1, ?1, ?2, ?3)
                ON CONFLICT (one) DO UPDATE SET boot = ?1, base = ?2, last = max(last, ?3)";
            sql.change(upsert, (&boot, base, now))?;
            Ok(now)
        })
    }
}

/// Returns the base after a boot, so that the clock is right by the wall clock, if that can be believed.
///
/// A wall clock behind the newest time on record was set back, and how long the machine was off is unknown. Then the
/// clock goes on after every deadline that was told out: a removal that should have come in time is refused, which
/// costs a repetition; one that comes too late must never pass.
fn base_after_boot(wall: u64, last: u64, since_boot: u64) -> u64 {
    let newest_told = last + RECORD_EVERY;
    let now = if wall > newest_told { wall } else { newest_told + LOCKED_SECONDS };
    now.saturating_sub(since_boot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_never_turns_the_clock_back() {
        assert_eq!(base_after_boot(5000, 1000, 10) + 10, 5000, "the wall clock tells how long the machine was off");
        let set_back = base_after_boot(500, 1000, 10) + 10;
        assert!(set_back > 1000 + LOCKED_SECONDS, "every deadline told before has passed");
    }

    #[test]
    fn two_openings_of_a_site_tell_one_time() {
        let dir = tempfile::tempdir().unwrap();
        let site = Site::init(&dir.path().join("site"), &[]).unwrap();
        let first = site.now().unwrap();
        let second = Site::open(site.root()).unwrap().now().unwrap();
        assert!((first..=first + 1).contains(&second));
    }
}
