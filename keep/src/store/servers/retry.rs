//! What an answer means, and when to ask again.
//!
//! Source: `docs/spec/keep-blocks.md` §5.2 and §5.3: what Arvados's clients repeat, all of them taken together.

use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;

use crate::base::http_client;

/// What a failed request means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may pass.
    Again,
    /// The service does not have the block.
    Absent,
    /// Token or signature are not accepted.
    Refused,
    /// What the service has is not the block.
    Bad,
    /// The service has no room.
    Full,
    /// It fails each time.
    Never,
}

/// What each service said last, for messages.
#[derive(Debug, Default)]
pub(super) struct Failures(Vec<(String, Verdict, String)>);

/// Longer answers are cut in messages.
const LONGEST: usize = 200;

/// Returns what a request without an answer means.
pub(super) fn unanswered(error: reqwest::Error) -> (Verdict, String) {
    let verdict = if http_client::is_distrust(&error) { Verdict::Never } else { Verdict::Again };
    (verdict, http_client::innermost(error))
}

pub(super) fn verdict(status: StatusCode) -> Verdict {
    match status.as_u16() {
        404 | 410 => Verdict::Absent,
        400 | 401 | 403 => Verdict::Refused,
        507 => Verdict::Full,
        408 | 409 | 423 | 429 | 500.. => Verdict::Again,
        _ => Verdict::Never,
    }
}

/// Tells whether a service says that it has no room, whatever its status: keepproxies, and keepstores of old, say 503.
pub(super) fn says_full(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    said.starts_with("503")
        && ["insufficient storage", "no space left", ": full"].iter().any(|words| said.contains(words))
}

/// Tells whether a keepstore says that what it has under the block's name is not the block. Its statuses (502 for a read,
/// 500 for a write, which cannot mend it) could mean anything else, too.
pub(super) fn says_damaged(said: &str) -> bool {
    (said.starts_with("502") && said.contains("checksum mismatch in stored data"))
        || (said.starts_with("500") && said.contains("hash collision"))
}

/// Returns how long to wait before repetition `number`, counted from 0: doubling, up to ten times, and never all alike.
pub(super) fn pause(first: Duration, number: u32) -> Duration {
    let longest = first.saturating_mul(1 << number.min(4)).min(first.saturating_mul(10));
    let mut random = [0; 2];
    // Without randomness many clients come back together; nothing worse.
    let _alike = getrandom::fill(&mut random);
    longest / 2 + (longest / 2).mul_f64(f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX))
}

impl Failures {
    /// Notes what a service said, in place of what it said before.
    pub(super) fn note(&mut self, service: &str, verdict: Verdict, reason: &str) {
        let reason = match reason.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}…", reason.get(..end).unwrap_or_default()),
            None => reason.to_owned(),
        };
        self.0.retain(|(other, ..)| other != service);
        self.0.push((service.to_owned(), verdict, reason.trim().to_owned()));
    }

    /// Tells whether a service is worth another question.
    pub(super) fn may_pass(&self, service: &str) -> bool {
        self.0.iter().all(|(other, verdict, _)| other != service || *verdict == Verdict::Again)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells whether some service is worth another question.
    pub(super) fn any_may_pass(&self) -> bool {
        self.0.iter().any(|(_, verdict, _)| *verdict == Verdict::Again)
    }

    /// Tells whether no service has the block, and at least one has other bytes under its name.
    pub(super) fn all_absent_or_bad(&self) -> bool {
        self.0.iter().all(|(_, verdict, _)| matches!(verdict, Verdict::Absent | Verdict::Bad)) && !self.all_absent()
    }

    /// Tells whether all that were asked have no room.
    pub(super) fn all_full(&self) -> bool {
        !self.is_empty() && self.0.iter().all(|(_, verdict, _)| *verdict == Verdict::Full)
    }

    /// Tells whether all that were asked do not have the block.
    pub(super) fn all_absent(&self) -> bool {
        self.0.iter().all(|(_, verdict, _)| *verdict == Verdict::Absent)
    }

    /// Tells whether somebody did not accept token or signature.
    pub(super) fn any_refused(&self) -> bool {
        self.0.iter().any(|(_, verdict, _)| *verdict == Verdict::Refused)
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("there is no service to ask");
        }
        for (index, (service, _, reason)) in self.0.iter().enumerate() {
            write!(f, "{}{service}: {reason}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_mean_what_arvados_clients_take_them_for() {
        let of = |code| verdict(StatusCode::from_u16(code).unwrap());
        assert!([408, 409, 423, 429, 500, 502, 503, 504].into_iter().all(|code| of(code) == Verdict::Again));
        assert!([404, 410].into_iter().all(|code| of(code) == Verdict::Absent));
        assert!([400, 401, 403].into_iter().all(|code| of(code) == Verdict::Refused));
        assert_eq!(of(507), Verdict::Full);
        assert!(says_full("503 Service Unavailable: Full") && says_full("503 x: insufficient storage"));
        assert!(!says_full("503 Service Unavailable: too many requests") && !says_full("500: full of bugs: full"));
        assert!(says_damaged("502 Bad Gateway: checksum mismatch in stored data"));
        assert!(says_damaged("500 Internal Server Error: hash collision"));
        assert!(!says_damaged("502 Bad Gateway: upstream") && !says_damaged("500 Internal Server Error: stale"));
        assert!([405, 411, 413, 422].into_iter().all(|code| of(code) == Verdict::Never));
    }

    #[test]
    fn pauses_double_up_to_ten_times() {
        let second = Duration::from_secs(1);
        for (number, longest) in [(0, 1), (1, 2), (2, 4), (3, 8), (4, 10), (40, 10)] {
            let pause = pause(second, number);
            assert!(pause <= second * longest && pause >= second * longest / 2, "{number}: {pause:?}");
        }
    }

    #[test]
    fn an_absent_block_is_absent_only_if_all_say_so() {
        let mut failures = Failures::default();
        failures.note("a", Verdict::Absent, "404");
        assert!(failures.all_absent() && !failures.may_pass("a") && failures.may_pass("b"));
        failures.note("b", Verdict::Again, "503");
        assert!(!failures.all_absent() && failures.may_pass("b"));
        assert_eq!(failures.to_string(), "a: 404; b: 503");
    }
}
