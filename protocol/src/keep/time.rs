//! Times as an API server writes them: UTC, RFC 3339, nine digits of fractions.

use std::fmt;

/// A time in microseconds since 1970, of the years 1 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiTime(i64);

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400;

impl ApiTime {
    /// Takes microseconds since 1970; `None` outside the years that can be written.
    pub fn from_micros(micros: i64) -> Option<Self> {
        let year = civil(micros.div_euclid(SECOND * DAY)).0;
        (1..=9999).contains(&year).then_some(Self(micros))
    }

    /// Returns microseconds since 1970.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// Reads `YYYY-MM-DDTHH:MM:SS`, perhaps with fractions, and `Z` or an offset; a space may stand for the `T`.
    ///
    /// Without `Z` or offset it is UTC. Digits below the microsecond are cut off.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, rest) = text.split_at_checked(10)?;
        let [year, month, day] = numbers(date, b'-', [4, 2, 2])?;
        let rest = rest.strip_prefix(['T', 't', ' '])?;
        let (clock, rest) = rest.split_at_checked(8)?;
        let [hour, minute, second] = numbers(clock, b':', [2, 2, 2])?;
        let (micros, rest) = fraction(rest)?;
        let offset = offset(rest)?;
        let legal = (1..=12).contains(&month) && day >= 1 && day <= days_in(year, month);
        if !legal || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let seconds = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset * 60;
        Self::from_micros(seconds * SECOND + micros)
    }
}

impl fmt::Display for ApiTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.0.div_euclid(SECOND), self.0.rem_euclid(SECOND));
        let (year, month, day) = civil(seconds.div_euclid(DAY));
        let second = seconds.rem_euclid(DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}000Z")
    }
}

/// Reads three numbers of certain lengths with `separator` between them.
fn numbers(text: &str, separator: u8, lengths: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.as_bytes().split(|byte| *byte == separator);
    let mut found = [0; 3];
    for (number, length) in found.iter_mut().zip(lengths) {
        *number = digits(parts.next().filter(|part| part.len() == length)?)?;
    }
    parts.next().is_none().then_some(found)
}

fn digits(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
    text.parse().ok()
}

/// Reads `.123…` into microseconds, and returns what follows.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((0, text)) };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (fraction, rest) = rest.split_at_checked(end).filter(|(fraction, _)| !fraction.is_empty())?;
    let micros = fraction.chars().chain("000000".chars()).take(6).collect::<String>();
    Some((micros.parse().ok()?, rest))
}

/// Reads what stands behind a time into minutes east of UTC.
fn offset(text: &str) -> Option<i64> {
    if matches!(text, "" | "Z" | "z") {
        return Some(0);
    }
    let (sign, rest) = text.split_at_checked(1)?;
    let (hours, rest) = rest.split_at_checked(2)?;
    let minutes = rest.strip_prefix(':').unwrap_or(rest);
    let (hours, minutes) = (digits(hours.as_bytes())?, digits(minutes.as_bytes()).filter(|_| minutes.len() == 2)?);
    match sign {
        "+" => Some(hours * 60 + minutes),
        "-" => Some(-(hours * 60 + minutes)),
        _ => None,
    }
}

/// Returns the day's number since 1970-01-01 in the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is a year's last one.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, month) = (year.div_euclid(400), (month + 9) % 12);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Returns year, month and day of a day's number.
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<i64> {
        ApiTime::parse(text).map(ApiTime::micros)
    }

    #[test]
    fn times_of_clients_are_read() {
        assert_eq!(read("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(read("2026-11-22T04:31:33.123456Z"), Some(1_795_321_893_123_456));
        assert_eq!(read("2026-11-22 04:31:33.1234567890"), Some(1_795_321_893_123_456));
        assert_eq!(read("2026-11-22T05:31:33+01:00"), Some(1_795_321_893_000_000));
        assert_eq!(read("2026-11-22T02:01:33-0230"), Some(1_795_321_893_000_000));
        assert_eq!(read("1969-12-31T23:59:59.5Z"), Some(-500_000));
        assert_eq!(read("2000-02-29T00:00:00Z"), Some(951_782_400_000_000));
        for bad in [
            "",
            "2026",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00X",
            "2026-1-01T00:00:000Z",
            "2026-01-01T00:00:00+1",
            "é026-01-01T00:00:00Z",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_time_has_nine_digits() {
        let time = ApiTime::from_micros(1_795_321_893_123_456).unwrap();
        assert_eq!(time.to_string(), "2026-11-22T04:31:33.123456000Z");
        assert_eq!(ApiTime::from_micros(i64::MAX), None);
        assert_eq!(ApiTime::from_micros(i64::MIN), None);
    }

    proptest! {
        #[test]
        fn written_times_are_read_again(micros in -62_135_596_800_000_000i64..253_402_300_799_999_999) {
            let time = ApiTime::from_micros(micros).unwrap();
            prop_assert_eq!(ApiTime::parse(&time.to_string()), Some(time));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = ApiTime::parse(&text);
        }
    }
}
