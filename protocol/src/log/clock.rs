//! Vector clocks that look like POSIX seconds. Source: `docs/spec/git-annex-branch.md` §3.

use std::fmt;

use nom::Parser;
use nom::bytes::complete::{tag, take_while1};
use nom::character::complete::one_of;
use nom::combinator::opt;
use nom::sequence::preceded;

/// When a line was written, as git-annex counts time: exact decimal seconds with up to 12 decimals.
///
/// It is a vector clock: values ahead of the wall clock are normal and must not be clamped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Clock(i128);

const PICOSECONDS: i128 = 1_000_000_000_000;

/// Larger values are not read: room stays for any number of [`Clock::next`].
const LIMIT: i128 = i128::MAX / 2;

impl Clock {
    /// Returns the clock that shows `seconds` after the epoch.
    pub fn from_seconds(seconds: u64) -> Self {
        Self(i128::from(seconds) * PICOSECONDS)
    }

    /// Parses `[sign] digits [. digits] [s]`; all of `text` must belong to it.
    ///
    /// Decimals after the twelfth are cut off, and the sign of a zero before the point is lost, both as in git-annex.
    /// `None` also for values beyond about 10^26 seconds, which git-annex would read.
    pub fn parse(text: &[u8]) -> Option<Self> {
        match clock(text) {
            Ok((b"", clock)) => clock,
            _ => None,
        }
    }

    /// Returns the whole seconds, rounded down.
    pub fn seconds(self) -> i128 {
        self.0.div_euclid(PICOSECONDS)
    }

    /// Returns the clock to write: `now`, unless `newest` (of the same field) is not older; then `newest` plus one second.
    pub fn next(now: Self, newest: Option<Self>) -> Self {
        match newest {
            Some(newest) if newest >= now => Self(newest.0.saturating_add(PICOSECONDS)),
            _ => now,
        }
    }

    /// Returns the clock one picosecond later: newer than this one, older than any real change after it.
    pub fn just_after(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let picoseconds = self.0.unsigned_abs();
        let unit = PICOSECONDS.unsigned_abs();
        write!(f, "{sign}{}", picoseconds / unit)?;
        let decimals = format!("{:012}", picoseconds % unit);
        match decimals.trim_end_matches('0') {
            "" => write!(f, "s"),
            decimals => write!(f, ".{decimals}s"),
        }
    }
}

fn clock(input: &[u8]) -> nom::IResult<&[u8], Option<Clock>> {
    let digits = || take_while1(|b: u8| b.is_ascii_digit());
    (opt(one_of(&b"+-"[..])), digits(), opt(preceded(tag(&b"."[..]), digits())), opt(tag(&b"s"[..])))
        .map(|(sign, whole, decimals, _)| value(sign == Some('-'), whole, decimals.unwrap_or_default()))
        .parse(input)
}

fn value(negative: bool, whole: &[u8], decimals: &[u8]) -> Option<Clock> {
    let digit = |byte: &u8| i128::from(byte - b'0');
    let whole = whole.iter().try_fold(0i128, |sum, byte| sum.checked_mul(10)?.checked_add(digit(byte)))?;
    let padded = decimals.iter().chain(std::iter::repeat(&b'0')).take(12);
    let fraction = padded.fold(0i128, |sum, byte| sum * 10 + digit(byte));
    let size = whole.checked_mul(PICOSECONDS)?.checked_add(fraction).filter(|size| *size <= LIMIT)?;
    Some(Clock(if negative && whole > 0 { -size } else { size }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        Clock::parse(text.as_bytes()).map(|clock| clock.to_string())
    }

    /// As git-annex 10.20261026 rewrites them.
    #[test]
    fn reads_what_git_annex_reads() {
        for (text, canonical) in [
            ("+5s", "5s"),
            ("-0.5s", "0.5s"),
            ("-5s", "-5s"),
            ("5.1234567890123456s", "5.123456789012s"),
            ("5.0s", "5s"),
            ("007.50", "7.5s"),
            ("1500000000.123456789123s", "1500000000.123456789123s"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(canonical), "{text}");
        }
        for text in
            ["", "s", "5.s", "5.", "5ss", "1e3s", "--5s", ".5s", "5 s", "99999999999999999999999999999999999999s"]
        {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn next_is_one_second_after_a_clock_that_is_not_older() {
        let at = |text: &str| Clock::parse(text.as_bytes()).unwrap();
        assert_eq!(Clock::next(at("7"), None), at("7"));
        assert_eq!(Clock::next(at("7"), Some(at("6.9"))), at("7"));
        assert_eq!(Clock::next(at("7"), Some(at("7"))), at("8"));
        assert_eq!(Clock::next(at("7"), Some(at("99999999999s"))), at("100000000000s"));
        assert_eq!(Clock::next(at("7"), Some(at("1500000000.123456789123"))), at("1500000001.123456789123"));
        assert_eq!(at("1795294940").just_after(), at("1795294940.000000000001"));
    }
}
