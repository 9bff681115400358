//! The Range header.
//!
//! Source: RFC 9110 §14.

use std::ops::Range;

use axum::http::HeaderValue;

/// What a Range header asks of content of some size.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RequestedRange {
    /// Everything: there is no header, or it is none to follow.
    Whole,
    /// These bytes, at least one of them; in the order that was asked for.
    Parts(Vec<Range<u64>>),
    /// Nothing that there is.
    Unsatisfiable,
}

/// Whoever asks for more parts than this gets everything.
const MAX_PARTS: usize = 64;

impl RequestedRange {
    /// Reads the header. Parts that together are more than the whole, overlapping ones mostly, are answered with that.
    pub(super) fn parse(header: Option<&HeaderValue>, size: u64) -> Self {
        let Some(text) = header.and_then(|value| value.to_str().ok()) else { return Self::Whole };
        let Some((unit, list)) = text.split_once('=') else { return Self::Whole };
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return Self::Whole;
        }
        let mut parts = Vec::new();
        let mut asked = 0_usize;
        for range in list.split(',').map(str::trim).filter(|range| !range.is_empty()) {
            asked += 1;
            match part(range, size) {
                Some(range) if range.is_empty() => {}
                Some(range) => parts.push(range),
                None => return Self::Whole,
            }
        }
        let total = parts.iter().fold(0_u64, |total, range| total.saturating_add(range.end - range.start));
        match parts.len() {
            _ if asked == 0 || asked > MAX_PARTS => Self::Whole,
            0 => Self::Unsatisfiable,
            1 => Self::Parts(parts),
            _ if total > size => Self::Whole,
            _ => Self::Parts(parts),
        }
    }
}

/// Reads `FIRST-LAST`, `FIRST-` or `-LENGTH`; an empty range if nothing of it is there, `None` if it is none.
fn part(text: &str, size: u64) -> Option<Range<u64>> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (number(first.trim()), number(last.trim()));
    Some(match (first?, last?) {
        (None, None) => return None,
        (None, Some(length)) => size.saturating_sub(length)..size,
        (Some(first), None) => first.min(size)..size,
        (Some(first), Some(last)) if first > last => return None,
        (Some(first), Some(last)) => first.min(size)..last.saturating_add(1).min(size),
    })
}

/// Reads a number that may be left out; more than 64 bits is as good as the most that they hold.
#[expect(clippy::option_option, reason = "not there and not a number are two things")]
fn number(text: &str) -> Option<Option<u64>> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((!text.is_empty()).then(|| text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(text: &str) -> RequestedRange {
        RequestedRange::parse(Some(&HeaderValue::from_str(text).unwrap()), 10)
    }

    #[test]
    fn parts_of_ten_bytes() {
        for (text, parts) in [
            ("bytes=0-3", &[(0, 4)][..]),
            ("Bytes = 9-", &[(9, 10)]),
            ("bytes=-3", &[(7, 10)]),
            ("bytes=-30", &[(0, 10)]),
            ("bytes=5-99999999999999999999999", &[(5, 10)]),
            ("bytes=0-0, 20-30 ,-1,", &[(0, 1), (9, 10)]),
            ("bytes=5-6,0-1", &[(5, 7), (0, 2)]),
        ] {
            let parts = parts.iter().map(|(start, end)| *start..*end).collect();
            assert_eq!(wanted(text), RequestedRange::Parts(parts), "{text}");
        }
        for text in ["bytes=10-", "bytes=20-30,-0", "bytes=-0"] {
            assert_eq!(wanted(text), RequestedRange::Unsatisfiable, "{text}");
        }
        for text in ["bytes", "bytes=", "bytes=,", "lines=0-1", "bytes=3-1", "bytes=-", "bytes=a-b", "bytes=+1-2"] {
            assert_eq!(wanted(text), RequestedRange::Whole, "{text}");
        }
        assert_eq!(wanted("bytes=0-,0-"), RequestedRange::Whole, "no more than there is");
        assert_eq!(wanted(&format!("bytes={}", "0-0,".repeat(65))), RequestedRange::Whole);
        assert_eq!(RequestedRange::parse(None, 10), RequestedRange::Whole);
        let first = HeaderValue::from_static("bytes=0-");
        assert_eq!(RequestedRange::parse(Some(&first), 0), RequestedRange::Unsatisfiable);
    }
}
