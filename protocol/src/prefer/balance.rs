//! Who of a group is to hold a key. Source: `docs/spec/preferred-content.md` §7; vectors `balanced.json`.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::placement::{Placement, Question};
use crate::uuid::Uuid;

/// `annex.fullybalancedthreshhold`: a repository fuller than this counts as full.
const FULL: f64 = 0.9;

/// A group, and how many of its members are to hold the key.
pub(super) struct Balance<'a> {
    pub(super) placement: &'a Placement,
    pub(super) question: &'a Question<'a>,
    /// Who has the key by its location log, dead repositories included.
    pub(super) logged: &'a BTreeSet<Uuid>,
    pub(super) copies: i64,
}

impl Balance<'_> {
    /// Returns the members that are to hold the key.
    pub(super) fn chosen(&self, group: &[u8], by_size: bool) -> Vec<Uuid> {
        let members = self.placement.members(group);
        let with_space: Vec<&Uuid> = members.iter().filter(|member| self.has_space(member)).collect();
        let candidates =
            if by_size || self.must_go_by_size(&with_space) { self.emptiest(&with_space) } else { with_space };
        let picked = pick(&members, &candidates, self.question.key.as_bytes(), self.copies);
        picked.into_iter().cloned().collect()
    }

    /// A repository of unknown or unlimited size has space.
    fn has_space(&self, member: &Uuid) -> bool {
        self.sizes(member).is_none_or(|(size, max)| {
            if self.logged.contains(member) { size <= max } else { size + self.key_size() <= max }
        })
    }

    fn must_go_by_size(&self, candidates: &[&Uuid]) -> bool {
        let full = |size: i128, max: i128| size as f64 >= max as f64 * FULL;
        let below =
            || candidates.iter().filter(|member| !self.sizes(member).is_some_and(|(size, max)| full(size, max)));
        self.placement.rebalance && self.copies > 1 && self.copies > i64::try_from(below().count()).unwrap_or(i64::MAX)
    }

    /// Returns the candidates with the largest free proportions, the greater UUID first among equals.
    fn emptiest<'c>(&self, candidates: &[&'c Uuid]) -> Vec<&'c Uuid> {
        let mut free: Vec<(i128, i128, &Uuid)> = Vec::new();
        for candidate in candidates {
            if let Some((size, max)) = self.sizes(candidate).filter(|(_, max)| *max > 0) {
                let own = if self.logged.contains(candidate) { self.key_size() } else { 0 };
                free.push((max - size + own, max, candidate));
            }
        }
        free.sort_by(|(free, max, uuid), (other_free, other_max, other)| {
            // Saturates only for sizes that no disk has.
            let by_free = free.saturating_mul(*other_max).cmp(&other_free.saturating_mul(*max));
            by_free.then_with(|| uuid.cmp(other)).then(Ordering::Equal).reverse()
        });
        free.truncate(usize::try_from(self.copies).unwrap_or(0));
        let mut emptiest: Vec<&Uuid> = free.into_iter().map(|(.., uuid)| uuid).collect();
        emptiest.sort();
        emptiest
    }

    /// Returns how much a repository holds and how much it may hold, if both are known.
    fn sizes(&self, member: &Uuid) -> Option<(i128, i128)> {
        let max = *self.placement.max_sizes.get(member)?;
        Some((i128::from(self.question.facts.repository_size(member)?), i128::from(max)))
    }

    fn key_size(&self) -> i128 {
        i128::from(self.question.key.size().unwrap_or(0))
    }
}

/// Picks `copies` of the candidates by a keyed hash; all members take part in the hash, only candidates are counted.
///
/// Both must be sorted. Picks nobody for zero or less, everybody when there are too few.
pub fn pick<'a>(members: &BTreeSet<Uuid>, candidates: &[&'a Uuid], key: &[u8], copies: i64) -> Vec<&'a Uuid> {
    let copies = usize::try_from(copies).unwrap_or(0).min(candidates.len());
    let secret: Vec<u8> = members.iter().flat_map(|member| member.as_bytes().iter().copied()).collect();
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&secret) else { return Vec::new() };
    mac.update(key);
    let digest = mac.finalize().into_bytes();
    let Some(first) = remainder(&digest, candidates.len()) else { return Vec::new() };
    candidates.iter().cycle().skip(first).take(copies).copied().collect()
}

/// Returns a big-endian number modulo `divisor`; `None` for zero.
fn remainder(number: &[u8], divisor: usize) -> Option<usize> {
    let divisor = u128::try_from(divisor).ok().filter(|divisor| *divisor > 0)?;
    let remainder = number.iter().fold(0u128, |rest, byte| (rest << 8 | u128::from(*byte)) % divisor);
    usize::try_from(remainder).ok()
}
