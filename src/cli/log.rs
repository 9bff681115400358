//! Where logs go, and how they look.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How the daemon's log looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// Names what is logged: warnings, by a daemon also what it does; less with `--quiet`, more with each `-v`.
pub(super) fn level(quiet: bool, verbose: u8, daemon: bool) -> &'static str {
    match (quiet, verbose + u8::from(daemon)) {
        (true, _) => "error",
        (_, 0) => "warn",
        (_, 1) => "info",
        _ => "debug",
    }
}

/// Sends logs of this level and above to standard error; `ANNEX_KEEP_LOG` sets another filter.
///
/// A daemon's lines start with the time. Those of other commands are plain: over ssh the user sees them.
pub(super) fn start(level: &str, format: Format, daemon: bool) {
    let filter = EnvFilter::try_from_env("ANNEX_KEEP_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let lines = lines.with_ansi(std::io::stderr().is_terminal()).with_target(false);
    match (format, daemon) {
        (Format::Json, _) => lines.json().flatten_event(true).with_target(true).init(),
        (Format::Text, true) => lines.init(),
        (Format::Text, false) => lines.without_time().init(),
    }
}
