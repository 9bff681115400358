//! Which of several nodes to fetch from: the cheapest; of equally cheap ones the least busy; then one on this machine. Those
//! that gave no answer lately come last, for other questions too.

use std::collections::VecDeque;

use super::Member;
use crate::node::measured::Load;

/// What the order depends on.
#[derive(Debug, Clone, Copy)]
struct Offer {
    cost: u32,
    local: bool,
    load: Load,
}

/// Returns the nodes in the order in which they should be asked for content.
pub(super) fn in_order(members: &[Member]) -> VecDeque<Member> {
    let offers: Vec<Offer> = members
        .iter()
        .map(|Member { terms, meter, .. }| Offer { cost: terms.cost, local: terms.local, load: meter.load() })
        .collect();
    let ordered = order(&offers).into_iter().filter_map(|position| members.get(position));
    silent_last(ordered).into_iter().cloned().collect()
}

/// Puts those that gave no answer lately behind the others.
pub(super) fn silent_last<'a>(members: impl IntoIterator<Item = &'a Member>) -> Vec<&'a Member> {
    let mut ordered: Vec<&Member> = members.into_iter().collect();
    ordered.sort_by_key(|member| member.is_silent());
    ordered
}

/// Returns the positions of the offers, the best first.
fn order(offers: &[Offer]) -> Vec<usize> {
    let mut positions: Vec<usize> = (0..offers.len()).collect();
    let rank = |position: &usize| {
        let offer = offers.get(*position)?;
        let rivals = offers.iter().filter(|other| other.cost == offer.cost);
        let fastest = rivals.filter_map(|other| step(other.load.rate)).max();
        Some((offer.cost, wait(offer.load, fastest), !offer.local))
    };
    positions.sort_by_cached_key(rank);
    positions
}

/// Estimates how long a node will be busy, relative to other nodes (dimensionless): its transfers and the one to come,
/// by its speed. A node whose speed is not known counts as fast as the fastest, so that it is used and its speed
/// becomes known.
fn wait(load: Load, fastest: Option<i32>) -> u64 {
    let slower = match (step(load.rate), fastest) {
        (Some(own), Some(fastest)) => fastest.saturating_sub(own).clamp(0, 20),
        _ => 0,
    };
    load.transfers.saturating_add(1).min(1 << 40) << slower
}

/// Speeds within a factor of two count as the same, since measured speeds vary that much.
fn step(rate: Option<f64>) -> Option<i32> {
    rate.filter(|rate| *rate >= 1.0).map(|rate| rate.log2().round() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(cost: u32, local: bool, transfers: u64, rate: Option<f64>) -> Offer {
        Offer { cost, local, load: Load { transfers, rate } }
    }

    #[test]
    fn cost_comes_first_then_load_then_locality() {
        let offers = [
            offer(200, true, 0, None),
            offer(100, false, 1, None),
            offer(100, false, 0, None),
            offer(100, true, 1, None),
            offer(50, false, 9, Some(1.0)),
        ];
        assert_eq!(order(&offers), [4, 2, 3, 1, 0]);
    }

    #[test]
    fn equals_stay_in_their_order() {
        assert_eq!(
            order(&[offer(1, true, 0, None), offer(1, true, 0, Some(2e6)), offer(1, true, 0, Some(1.9e6))]),
            [0, 1, 2]
        );
    }

    #[test]
    fn a_node_twice_as_fast_gets_two_of_three() {
        let mut transfers = [0, 0];
        for _ in 0..9 {
            let offers = [offer(1, true, transfers[0], Some(1e8)), offer(1, true, transfers[1], Some(2e8))];
            transfers[order(&offers)[0]] += 1;
        }
        assert_eq!(transfers, [3, 6]);
    }

    #[test]
    fn numbers_out_of_bounds_do_no_harm() {
        let odd = [
            offer(0, true, u64::MAX, Some(f64::NAN)),
            offer(0, true, 0, Some(f64::INFINITY)),
            offer(0, true, 0, Some(-1.0)),
        ];
        assert_eq!(order(&odd).len(), 3);
        assert_eq!(order(&[]), [0; 0]);
    }
}
