//! Logs of one value: `TS value`. Source: `docs/spec/git-annex-branch.md` §5, format S.

use super::clock::Clock;
use super::lines::{lines, push_line, word};
use super::numcopies::Copies;

/// A log that holds one number, such as `numcopies.log`: the newest line; of equally new ones the greatest value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SingleLog {
    newest: Option<(Clock, Copies)>,
    unparsed: Vec<Vec<u8>>,
}

impl SingleLog {
    /// Reads a file's content; lines that are not of this log are set aside for [`Self::write`].
    pub fn parse(content: &[u8]) -> Self {
        let mut log = Self::default();
        for line in lines(content) {
            let parsed = word(line).and_then(|(clock, value)| Some((Clock::parse(clock)?, Copies::parse(value)?)));
            match parsed {
                Some(parsed) => log.newest = log.newest.max(Some(parsed)),
                None => log.unparsed.push(line.to_vec()),
            }
        }
        log
    }

    /// Returns the newest value.
    pub fn value(&self) -> Option<Copies> {
        self.newest.map(|(_, value)| value)
    }

    /// Records a value; false, and nothing changed, when the newest line says the same.
    pub fn set(&mut self, value: Copies, now: Clock) -> bool {
        if self.value() == Some(value) {
            return false;
        }
        self.newest = Some((Clock::next(now, self.newest.map(|(clock, _)| clock)), value));
        true
    }

    /// Returns the file's new content: the newest line, then the lines that could not be parsed.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some((clock, value)) = self.newest {
            push_line(&mut out, &[clock.to_string().as_bytes(), b" ", value.to_string().as_bytes()]);
        }
        self.unparsed.iter().for_each(|line| push_line(&mut out, &[line]));
        out
    }
}
