//! How much of the gateway one may use at once.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use annex_protocol::prefer::size;
use serde::Deserialize;

/// The limits of a site.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections of all doors together.
    pub connections: usize,
    /// Transfers of content at once.
    pub transfers: usize,
    /// Transfers that may wait for their turn.
    pub waiting: usize,
    /// After this long without a byte a transfer is broken off.
    pub stalled: Duration,
    /// After this long without a byte a transfer loses its slot to one that waits.
    pub turn: Duration,
    /// After this long without an answer, or a byte, a node counts as not reachable.
    pub answer: Duration,
    /// Bytes a second over all transfers.
    pub bytes_per_second: Option<NonZeroU32>,
    /// The size of the largest key that is stored.
    pub largest_key: Option<u64>,
    /// What one repository may hold on all its nodes together.
    pub repository_quota: Option<u64>,
    /// What temporary files for external programs leave free on the site's disk.
    pub spool_reserve: u64,
    each_user: UserLimits,
    user: BTreeMap<String, UserLimits>,
}

/// The limits of one user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UserLimits {
    /// Transfers of content at once.
    pub transfers: Option<usize>,
    /// Bytes a second over all transfers of this user.
    pub bytes_per_second: Option<NonZeroU32>,
}

impl Limits {
    /// Returns the limits of a user.
    pub fn user(&self, name: &str) -> UserLimits {
        self.user.get(name).copied().unwrap_or(self.each_user)
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLimits {
    connections: Option<usize>,
    transfers: Option<usize>,
    waiting: Option<usize>,
    stalled_seconds: Option<u64>,
    turn_seconds: Option<u64>,
    answer_seconds: Option<u64>,
    bytes_per_second: Option<Size>,
    largest_key: Option<Size>,
    repository_quota: Option<Size>,
    spool_reserve: Option<Size>,
    each_user: RawUserLimits,
    user: BTreeMap<String, RawUserLimits>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawUserLimits {
    transfers: Option<usize>,
    bytes_per_second: Option<Size>,
}

/// Bytes, or text with a unit.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Size {
    Bytes(u64),
    Text(String),
}

impl RawLimits {
    pub(super) fn check(self) -> Result<Limits, String> {
        let user = |(name, raw): (String, RawUserLimits)| Ok((name, raw.check()?));
        Ok(Limits {
            connections: at_least_one("limits: connections", self.connections, 4096)?,
            transfers: at_least_one("limits: transfers", self.transfers, 256)?,
            waiting: self.waiting.unwrap_or(1024),
            stalled: Duration::from_secs(self.stalled_seconds.unwrap_or(600).max(1)),
            turn: Duration::from_secs(self.turn_seconds.unwrap_or(1).max(1)),
            answer: Duration::from_secs(self.answer_seconds.unwrap_or(60).clamp(1, 86_400)),
            bytes_per_second: rate("limits", self.bytes_per_second)?,
            largest_key: bytes("limits: largest_key", self.largest_key)?,
            repository_quota: bytes("limits: repository_quota", self.repository_quota)?,
            spool_reserve: bytes("limits: spool_reserve", self.spool_reserve)?.unwrap_or(1_000_000_000),
            each_user: self.each_user.check()?,
            user: self.user.into_iter().map(user).collect::<Result<_, String>>()?,
        })
    }
}

impl RawUserLimits {
    fn check(self) -> Result<UserLimits, String> {
        let transfers = self.transfers.map(|number| at_least_one("limits: transfers", Some(number), 1)).transpose()?;
        Ok(UserLimits { transfers, bytes_per_second: rate("limits", self.bytes_per_second)? })
    }
}

pub(super) fn at_least_one(name: &str, value: Option<usize>, default: usize) -> Result<usize, String> {
    match value.unwrap_or(default) {
        0 => Err(format!("{name} must be at least 1")),
        // What a semaphore can count to.
        number => Ok(number.min(1 << 20)),
    }
}

/// Reads bytes a second of a section of the configuration.
pub(super) fn rate(section: &str, value: Option<Size>) -> Result<Option<NonZeroU32>, String> {
    let Some(bytes) = bytes(&format!("{section}: bytes_per_second"), value)? else { return Ok(None) };
    match NonZeroU32::new(u32::try_from(bytes).unwrap_or(u32::MAX)) {
        Some(rate) => Ok(Some(rate)),
        None => Err(format!("{section}: bytes_per_second must be at least 1")),
    }
}

pub(super) fn bytes(name: &str, value: Option<Size>) -> Result<Option<u64>, String> {
    match value {
        None => Ok(None),
        Some(Size::Bytes(bytes)) => Ok(Some(bytes)),
        Some(Size::Text(text)) => {
            let compact: String = text.split_whitespace().collect();
            // git-annex's own reader leaves what it does not understand out.
            let unit = compact.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
            let whole = unit.bytes().all(|b| b.is_ascii_alphabetic());
            let parsed = size(compact.as_bytes()).filter(|_| whole).and_then(|bytes| u64::try_from(bytes).ok());
            parsed.map(Some).ok_or_else(|| format!("{name}: \"{text}\" is no size: try \"20 GB\""))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    const NODE: &str = "[nodes.a]\nid = \"59a5eba9-ef36-4fc5-b11d-effc1bd2effc\"\nstore = \"keep:/a\"\n";

    #[test]
    fn sizes_have_units_and_users_have_limits_of_their_own() {
        let text = "[limits]\nlargest_key = \"20 GB\"\nrepository_quota = 5\n[limits.each_user]\ntransfers = 3\n\
            [limits.user.alice]\nbytes_per_second = \"1MB\"\n";
        let limits = Config::parse(&format!("{text}{NODE}")).unwrap().limits;
        assert_eq!((limits.largest_key, limits.repository_quota), (Some(20_000_000_000), Some(5)));
        assert_eq!((limits.user("bob").transfers, limits.user("alice").transfers), (Some(3), None));
        assert_eq!(limits.user("alice").bytes_per_second.map(|rate| rate.get()), Some(1_000_000));
        assert_eq!((limits.transfers, limits.answer.as_secs()), (256, 60));
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (text, word) in [
            ("[limits]\ntransfers = 0\n", "transfers"),
            ("[limits]\nlargest_key = \"many\"\n", "largest_key"),
            ("[limits]\nlargest_key = \"5 GB or so\"\n", "largest_key"),
            ("[limits]\nlargest_key = \"-5GB\"\n", "largest_key"),
            ("[limits]\nbytes_per_second = 0\n", "bytes_per_second"),
            ("[limits]\ntransfer = 1\n", "transfer"),
            ("[http]\nlisten = [\"8080\"]\n", "8080"),
            ("[http]\nurl = \"example.org\"\n", "http.url"),
            ("[defaults]\nanonymous = \"write\"\n", "anonymous"),
        ] {
            let error = Config::parse(&format!("{text}{NODE}")).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
