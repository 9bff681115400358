//! What pushes say of our own nodes, kept until the nodes themselves are asked.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};

use annex_protocol::key::Key;
use annex_protocol::log::Clock;
use annex_protocol::uuid::Uuid;

use super::{Branch, BranchError};

/// Somebody says that a node has a key, or has it not, and the location log says something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The node.
    pub node: Uuid,
    /// The key.
    pub key: Key,
    /// When it was said, by the clock of who said it.
    pub clock: Clock,
}

/// The most bytes of claims that wait: some 300,000. What is claimed beyond that is not looked at.
const MOST: u64 = 32 << 20;

impl Branch {
    /// Keeps claims until [`Branch::take_claims`].
    pub fn note_claims(&self, claims: &[Claim]) -> Result<(), BranchError> {
        if claims.is_empty() {
            return Ok(());
        }
        let _lock = self.journal.lock()?;
        let path = self.journal.claims();
        let note = || {
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            let mut left = MOST.saturating_sub(file.metadata()?.len());
            let mut lines = Vec::new();
            for Claim { node, key, clock } in claims {
                let line = [clock.to_string().as_bytes(), b" ", node.as_bytes(), b" ", key.as_bytes(), b"\n"].concat();
                let Some(rest) = left.checked_sub(line.len() as u64) else {
                    tracing::warn!(
                        "{}: nodes have to be asked about too much that pushes said of them",
                        path.display()
                    );
                    break;
                };
                left = rest;
                lines.extend_from_slice(&line);
            }
            file.write_all(&lines)
        };
        note().map_err(|source: io::Error| BranchError::Journal { path: path.clone(), source })
    }

    /// Returns the claims that wait, and forgets them.
    pub fn take_claims(&self) -> Result<Vec<Claim>, BranchError> {
        let path = self.journal.claims();
        let fail = |source| BranchError::Journal { path: path.clone(), source };
        if !path.exists() {
            return Ok(Vec::new());
        }
        let _lock = self.journal.lock()?;
        let content = match std::fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            read => read.map_err(fail)?,
        };
        std::fs::remove_file(&path).map_err(fail)?;
        Ok(content.split(|byte| *byte == b'\n').filter_map(parse).collect())
    }
}

fn parse(line: &[u8]) -> Option<Claim> {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let clock = Clock::parse(words.next()?)?;
    Some(Claim { node: Uuid::parse(words.next()?)?, key: Key::parse(words.next()?).ok()?, clock })
}
