//! Presence logs: `TS status info`. Source: `docs/spec/git-annex-branch.md` §5.

use std::cmp::Reverse;

use super::clock::Clock;
use super::lines::{lines, push_line, word};

/// What a line of a presence log says about its `info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// `1`: it is there.
    Present,
    /// `0`: it is not there.
    Missing,
    /// `X`: it is not there and will not come back.
    Dead,
}

impl Status {
    fn parse(text: &[u8]) -> Option<Self> {
        match text {
            b"1" => Some(Self::Present),
            b"0" => Some(Self::Missing),
            b"X" => Some(Self::Dead),
            _ => None,
        }
    }

    fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Present => b"1",
            Self::Missing => b"0",
            Self::Dead => b"X",
        }
    }
}

/// One line of a presence log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresenceLine<'a> {
    /// When it was written.
    pub clock: Clock,
    /// What it says.
    pub status: Status,
    /// Of what: a UUID, a URL or a key. Never checked here.
    pub info: &'a [u8],
}

impl<'a> PresenceLine<'a> {
    /// Parses one line without its line end.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let (clock, rest) = word(line)?;
        let (status, info) = word(rest)?;
        Some(Self { clock: Clock::parse(clock)?, status: Status::parse(status)?, info })
    }
}

/// A presence log: for each `info` the newest line; of equally new ones the first in the file.
///
/// Borrows from the file's content, as these logs are read by the million.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceLog<'a> {
    /// One line for each info, sorted by the info's bytes.
    lines: Vec<PresenceLine<'a>>,
    unparsed: Vec<&'a [u8]>,
}

impl<'a> PresenceLog<'a> {
    /// Reads a file's content; lines that are no presence lines are set aside for [`Self::write`].
    pub fn parse(content: &'a [u8]) -> Self {
        let (mut parsed, mut unparsed) = (Vec::new(), Vec::new());
        for line in lines(content) {
            match PresenceLine::parse(line) {
                Some(line) => parsed.push(line),
                None => unparsed.push(line),
            }
        }
        // Stable, so that the first of equally new lines comes first, and is the one that stays.
        parsed.sort_by_key(|line| (line.info, Reverse(line.clock)));
        parsed.dedup_by_key(|line| line.info);
        Self { lines: parsed, unparsed }
    }

    /// Returns the newest line of each info, sorted by info.
    pub fn lines(&self) -> &[PresenceLine<'a>] {
        &self.lines
    }

    /// Returns the newest line of `info`.
    pub fn newest(&self, info: &[u8]) -> Option<&PresenceLine<'a>> {
        self.position(info).ok().and_then(|at| self.lines.get(at))
    }

    /// Returns every info whose newest line says that it is there.
    pub fn present(&self) -> impl Iterator<Item = &'a [u8]> {
        self.lines.iter().filter(|line| line.status == Status::Present).map(|line| line.info)
    }

    /// Records `status` for `info`; false, and nothing changed, when the newest line says so already.
    ///
    /// `info` must not hold a line end; one that does is not recorded.
    pub fn set(&mut self, info: &'a [u8], status: Status, now: Clock) -> bool {
        let line = |newest| PresenceLine { clock: Clock::next(now, newest), status, info };
        match self.position(info) {
            Err(_) if info.iter().any(|byte| matches!(byte, b'\n' | b'\r')) => return false,
            Err(at) => self.lines.insert(at, line(None)),
            Ok(at) => match self.lines.get_mut(at) {
                Some(old) if old.status != status => *old = line(Some(old.clock)),
                _ => return false,
            },
        }
        true
    }

    /// Records `status` for `info` in a line with this clock, in place of what is recorded.
    pub(super) fn put(&mut self, info: &'a [u8], status: Status, clock: Clock) {
        let line = PresenceLine { clock, status, info };
        match self.position(info) {
            Ok(at) => self.lines.splice(at..=at, [line]).for_each(drop),
            Err(at) => self.lines.insert(at, line),
        }
    }

    /// Returns the file's new content: one line an info, sorted, then the lines that could not be parsed.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for PresenceLine { clock, status, info } in &self.lines {
            push_line(&mut out, &[clock.to_string().as_bytes(), b" ", status.as_bytes(), b" ", info]);
        }
        self.unparsed.iter().for_each(|line| push_line(&mut out, &[line]));
        out
    }

    pub(super) fn retain(&mut self, keep: impl FnMut(&PresenceLine<'a>) -> bool) {
        self.lines.retain(keep);
    }

    pub(super) fn lines_mut(&mut self) -> &mut [PresenceLine<'a>] {
        &mut self.lines
    }

    fn position(&self, info: &[u8]) -> Result<usize, usize> {
        self.lines.binary_search_by_key(&info, |line| line.info)
    }
}
