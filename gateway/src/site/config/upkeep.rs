//! What the daemon does by itself: repair, surplus copies, scrub.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;

use super::limits::{Size, at_least_one, rate};

/// How copies are brought to where they should be.
#[derive(Debug, Clone)]
pub struct Repair {
    /// Keys that are copied at once, by one process.
    pub at_once: usize,
    /// Bytes a second over all of them.
    pub bytes_per_second: Option<NonZeroU32>,
    /// What becomes of copies on nodes that do not want them.
    pub surplus: Surplus,
}

/// What becomes of a copy on a node that does not want it by its preferred content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Surplus {
    /// It stays until somebody drops it.
    #[default]
    Keep,
    /// It goes once enough other nodes hold the key under lock.
    Drop,
}

/// How copies are read again.
#[derive(Debug, Clone)]
pub struct Scrub {
    /// A copy that was verified longer ago is due; without it, none is.
    pub every: Option<Duration>,
    /// Bytes a second.
    pub bytes_per_second: NonZeroU32,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRepair {
    at_once: Option<usize>,
    bytes_per_second: Option<Size>,
    surplus: Surplus,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawScrub {
    days: Option<f64>,
    bytes_per_second: Option<Size>,
}

impl RawRepair {
    pub(super) fn check(self) -> Result<Repair, String> {
        Ok(Repair {
            at_once: at_least_one("repair: at_once", self.at_once, 2)?,
            bytes_per_second: rate("repair", self.bytes_per_second)?,
            surplus: self.surplus,
        })
    }
}

impl RawScrub {
    pub(super) fn check(self) -> Result<Scrub, String> {
        const USUAL: NonZeroU32 = NonZeroU32::new(20_000_000).expect("not zero");
        let days = self.days.unwrap_or(30.0);
        let every = Duration::try_from_secs_f64(days * 86400.0);
        let every = every.map_err(|_| format!("scrub: days: {days} is no number of days"))?;
        let bytes_per_second = rate("scrub", self.bytes_per_second)?.unwrap_or(USUAL);
        Ok(Scrub { every: Some(every).filter(|every| !every.is_zero()), bytes_per_second })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    const NODE: &str = "[nodes.a]\nid = \"59a5eba9-ef36-4fc5-b11d-effc1bd2effc\"\nstore = \"keep:/a\"\n";

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(&format!("{text}{NODE}"))
    }

    #[test]
    fn surplus_copies_stay_and_copies_are_read_each_month_unless_it_is_said_otherwise() {
        let config = parse("").unwrap();
        assert_eq!((config.repair.at_once, config.repair.surplus), (2, Surplus::Keep));
        assert_eq!(config.scrub.every, Some(Duration::from_secs(30 * 86400)));
        let text = "[repair]\nat_once = 8\nbytes_per_second = \"1 MB\"\nsurplus = \"drop\"\n[scrub]\ndays = 0\n";
        let config = parse(text).unwrap();
        assert_eq!((config.repair.at_once, config.repair.surplus), (8, Surplus::Drop));
        assert_eq!(config.repair.bytes_per_second.map(NonZeroU32::get), Some(1_000_000));
        assert_eq!(config.scrub.every, None);
        assert_eq!(parse("[scrub]\ndays = 0.5\n").unwrap().scrub.every, Some(Duration::from_secs(43200)));
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (text, word) in [
            ("[repair]\nat_once = 0\n", "repair: at_once"),
            ("[repair]\nbytes_per_second = 0\n", "repair: bytes_per_second"),
            ("[repair]\nsurplus = \"perhaps\"\n", "perhaps"),
            ("[scrub]\ndays = -1\n", "scrub: days"),
            ("[scrub]\nbytes_per_second = \"fast\"\n", "scrub: bytes_per_second"),
            ("[scrub]\nweeks = 1\n", "weeks"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
