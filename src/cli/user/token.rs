//! `annex-keep user token`, `tokens` and `revoke`: what a program shows over HTTP in the place of a password.

use serde_json::json;

use crate::cli::output::Lines;
use crate::cli::site::SiteOption;
use crate::error::Failure;

/// Make a token, and print its only copy: a password over HTTP, in the form of an Arvados token
#[derive(Debug, clap::Args)]
pub(super) struct Make {
    /// The user's name
    name: String,
    /// How long it is good, for example 90m, 12h, 30d, 2w or 1y; without it, until it is revoked
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    expires: Option<u64>,
    #[command(flatten)]
    site: SiteOption,
}

/// List tokens, of one user or of all, without their secrets
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// The user's name
    name: Option<String>,
    #[command(flatten)]
    site: SiteOption,
    /// One JSON object a line; times are seconds since 1970
    #[arg(long)]
    json: bool,
}

/// End a token
#[derive(Debug, clap::Args)]
pub(super) struct Revoke {
    /// The token's id: what stands between the first and the second slash
    id: String,
    #[command(flatten)]
    site: SiteOption,
}

impl Make {
    pub(super) fn run(self) -> Result<(), Failure> {
        let site = self.site.open()?;
        let expires = self.expires.map(|seconds| site.clock().unix_seconds().saturating_add(seconds));
        let token = site.make_token(&self.name, expires)?;
        let mut out = Lines::new();
        out.line(token)?;
        out.end()
    }
}

impl List {
    pub(super) fn run(self) -> Result<(), Failure> {
        let site = self.site.open()?;
        let now = site.clock().unix_seconds();
        let mut out = Lines::new();
        for token in site.tokens(self.name.as_deref())? {
            let (id, user, created, expires) = (&token.id, &token.user, token.created, token.expires);
            let live = expires.is_none_or(|end| end > now);
            if self.json {
                let known = json!({ "id": id, "user": user, "created": created, "expires": expires, "live": live });
                out.line(known)?;
                continue;
            }
            let state = match expires {
                None => "until it is revoked".to_owned(),
                Some(end) if live => format!("{} more", shown(end - now)),
                Some(_) => "ended".to_owned(),
            };
            out.line(format_args!("{id} {user} made {} ago, {state}", shown(now.saturating_sub(created))))?;
        }
        out.end()
    }
}

impl Revoke {
    pub(super) fn run(self) -> Result<(), Failure> {
        Ok(self.site.open()?.revoke_token(&self.id)?)
    }
}

const UNITS: [(char, u64); 6] =
    [('y', 365 * 86_400), ('w', 7 * 86_400), ('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];

/// Reads a time such as `30d` or `1h30m`.
fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("\"{text}\" is no time: try 90m, 12h, 30d, 2w or 1y");
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (digits, tail) = rest.split_at(end);
        let mut tail = tail.chars();
        let unit = tail.next().and_then(|letter| UNITS.iter().find(|(name, _)| *name == letter)).ok_or_else(wrong)?;
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        total = number.checked_mul(unit.1).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        rest = tail.as_str();
    }
    // What SQLite can hold, with room for the present time.
    if total == 0 || total > u64::from(u32::MAX) { Err(wrong()) } else { Ok(total) }
}

/// Shows a time in its greatest unit, rounded down.
fn shown(seconds: u64) -> String {
    let unit = UNITS.iter().find(|(_, size)| seconds >= *size);
    unit.map_or_else(|| "0s".to_owned(), |(name, size)| format!("{}{name}", seconds / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, wanted) in
            [("90m", 5400), ("12h", 43_200), ("30d", 2_592_000), ("2w", 1_209_600), ("1y", 31_536_000), ("1h30m", 5400)]
        {
            assert_eq!(seconds(text), Ok(wanted));
        }
        for text in ["", "30", "d", "30x", "-1d", "1.5d", "0d", "99999999999999999999d", "999999y", "1d "] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_shown_in_their_greatest_unit() {
        assert_eq!((shown(0).as_str(), shown(59).as_str(), shown(86_399).as_str()), ("0s", "59s", "23h"));
    }
}
