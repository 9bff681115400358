//! Location logs, `aaa/bbb/KEY.log`: which repositories have a key. Source: `docs/spec/git-annex-branch.md` §6.

use std::borrow::Cow;

use super::clock::Clock;
use super::presence::{PresenceLine, PresenceLog, Status};
use crate::uuid::Uuid;

/// Where a key is, by its location log.
///
/// Cluster UUIDs found in the file are left out everywhere: they are never counted and never written. Readers add the
/// clusters of the nodes that have the key ([`crate::log::ClusterNodes`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocationLog<'a>(PresenceLog<'a>);

impl<'a> LocationLog<'a> {
    /// Reads a file's content. Costs one small allocation.
    pub fn parse(content: &'a [u8]) -> Self {
        let mut log = PresenceLog::parse(content);
        log.retain(|line| !is_cluster(line.info));
        Self(log)
    }

    /// Returns the repositories that have the key, sorted.
    pub fn present(&self) -> impl Iterator<Item = Uuid> {
        self.having(Status::Present)
    }

    /// Returns the repositories whose newest line has this status, sorted. Lines whose last part is no UUID are left out.
    pub fn having(&self, status: Status) -> impl Iterator<Item = Uuid> {
        self.0.lines().iter().filter(move |line| line.status == status).filter_map(|line| Uuid::parse(line.info))
    }

    /// Returns what is recorded for one repository.
    pub fn status(&self, uuid: &Uuid) -> Option<Status> {
        self.0.newest(uuid.as_bytes()).map(|line| line.status)
    }

    /// Tells whether a repository has the key.
    pub fn is_present(&self, uuid: &Uuid) -> bool {
        self.status(uuid) == Some(Status::Present)
    }

    /// Tells whether the key is dead: it has lines, and each of them says so. Key listings leave it out.
    pub fn key_is_dead(&self) -> bool {
        !self.0.lines().is_empty() && self.0.lines().iter().all(|line| line.status == Status::Dead)
    }

    /// Returns the newest line of each repository, sorted by UUID; the UUIDs are as they stand in the file.
    pub fn lines(&self) -> &[PresenceLine<'a>] {
        self.0.lines()
    }
}

/// Records changes of a key's locations in `content`, the file as it is now (empty if there is none).
///
/// `None` when the file says all of it already; a line is then not made newer. Otherwise the new content: compacted,
/// sorted by UUID, each clock newer than the repository's newest. Changes for cluster UUIDs are ignored.
pub fn record_locations<'a>(
    content: &[u8],
    changes: impl IntoIterator<Item = (&'a Uuid, Status)>,
    now: Clock,
) -> Option<Vec<u8>> {
    let LocationLog(mut log) = LocationLog::parse(content);
    let mut changed = false;
    let changes: Vec<_> = changes.into_iter().collect();
    for (uuid, status) in changes.iter().filter(|(uuid, _)| !uuid.is_cluster()) {
        changed |= log.set(uuid.as_bytes(), *status, now);
    }
    changed.then(|| log.write())
}

/// Records whether a repository has a key in a line that is newer than `claim`, what somebody else said of it, even if
/// the log says so already. Returns the new content.
pub fn affirm_location(content: &[u8], uuid: &Uuid, status: Status, now: Clock, claim: Clock) -> Vec<u8> {
    let LocationLog(mut log) = LocationLog::parse(content);
    let newest = log.newest(uuid.as_bytes()).map_or(claim, |line| line.clock.max(claim));
    log.put(uuid.as_bytes(), status, Clock::next(now, Some(newest)));
    log.write()
}

/// Marks a key dead, as `git annex dead --key` does; `None` if a repository has it, or it is unknown or dead already.
///
/// The clocks advance by a picosecond only, so that any real change wins.
pub fn mark_key_dead(content: &[u8]) -> Option<Vec<u8>> {
    let LocationLog(mut log) = LocationLog::parse(content);
    let alive = log.lines().iter().any(|line| line.status == Status::Missing);
    if !alive || log.present().next().is_some() {
        return None;
    }
    for line in log.lines_mut().iter_mut().filter(|line| line.status == Status::Missing) {
        (line.status, line.clock) = (Status::Dead, line.clock.just_after());
    }
    Some(log.write())
}

/// Returns a location log's content without the lines that name a cluster, which old clients write.
pub fn without_clusters(content: &[u8]) -> Cow<'_, [u8]> {
    without_lines(content, |line| is_cluster(line.info))
}

/// Returns a presence log's content without some of its lines.
pub fn without_lines<'a>(content: &'a [u8], mut left_out: impl FnMut(&PresenceLine<'a>) -> bool) -> Cow<'a, [u8]> {
    let mut is_left_out =
        |line: &'a [u8]| PresenceLine::parse(line.trim_ascii_end()).is_some_and(|line| left_out(&line));
    if !content.split(|byte| *byte == b'\n').any(&mut is_left_out) {
        return Cow::Borrowed(content);
    }
    let kept = content.split_inclusive(|byte| *byte == b'\n').filter(|line| !is_left_out(line));
    Cow::Owned(kept.flatten().copied().collect())
}

fn is_cluster(info: &[u8]) -> bool {
    info.starts_with(b"ac") && info.get(14) == Some(&b'8')
}
