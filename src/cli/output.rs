//! Standard output of commands.

use std::io::{self, BufWriter, StdoutLock, Write};
use std::process::ExitCode;

use crate::error::{Exit, Failure};

/// Bytes as shown to people: what is not UTF-8, and control characters, become `\ooo`.
pub(super) fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || character == '\\' {
                let mut buffer = [0; 4];
                text.extend(character.encode_utf8(&mut buffer).bytes().map(|byte| format!("\\{byte:03o}")));
            } else {
                text.push(character);
            }
        }
        text.extend(chunk.invalid().iter().map(|byte| format!("\\{byte:03o}")));
    }
    text
}

/// Lines on standard output. A reader that has gone is no error: nobody wants the rest.
pub(super) struct Lines(BufWriter<StdoutLock<'static>>);

impl Lines {
    pub(super) fn new() -> Self {
        Self(BufWriter::new(io::stdout().lock()))
    }

    /// Writes a line; false when nobody reads any more.
    pub(super) fn line(&mut self, line: impl std::fmt::Display) -> Result<bool, Failure> {
        read_by_somebody(writeln!(self.0, "{line}"))
    }

    pub(super) fn end(mut self) -> Result<(), Failure> {
        read_by_somebody(self.0.flush()).map(drop)
    }
}

fn read_by_somebody(written: io::Result<()>) -> Result<bool, Failure> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// What was done of several things: all, none, or a part.
#[derive(Debug, Default)]
pub(super) struct Tally {
    done: usize,
    failed: usize,
}

impl Tally {
    pub(super) fn done(&mut self) {
        self.done += 1;
    }

    /// Counts a failure and tells of it on standard error.
    pub(super) fn failed(&mut self, text: impl std::fmt::Display) {
        eprintln!("annex-keep: {text}");
        self.failed += 1;
    }

    pub(super) fn code(&self) -> ExitCode {
        match (self.done, self.failed) {
            (_, 0) => ExitCode::SUCCESS,
            (0, _) => Exit::Failed.into(),
            _ => Exit::Partly.into(),
        }
    }
}

/// Shows a size to people.
pub(super) fn size(bytes: u64) -> String {
    let mut units = ["bytes", "kB", "MB", "GB", "TB", "PB"].into_iter();
    let (mut number, mut unit) = (bytes as f64, units.next().unwrap_or_default());
    for larger in units {
        if number < 1000.0 {
            break;
        }
        (number, unit) = (number / 1000.0, larger);
    }
    if unit == "bytes" { format!("{bytes} bytes") } else { format!("{number:.1} {unit}") }
}
