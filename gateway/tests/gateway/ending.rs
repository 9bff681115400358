//! The end of a story: all nodes are well again and everything is repaired. Then the location log says what is so, and what
//! nodes should have they have.

use std::collections::BTreeSet;

use tokio::time::{Duration, sleep, timeout};

use crate::house::House;
use crate::ledger::Ledger;
use crate::run::LONGEST;
use crate::upkeep;

/// How often everything is repaired: what one round finds bad the next one replaces.
const ROUNDS: usize = 3;

/// Longer than a lock lasts, and than a node counts as silent.
const AWHILE: Duration = Duration::from_secs(1800);

/// Ends a story.
pub(crate) async fn end(house: &mut House, ledger: &mut Ledger) {
    for node in 0..house.nodes.len() {
        house.trouble(node, None);
    }
    sleep(AWHILE).await;
    ledger.check(house);
    let repaired = async {
        for _ in 0..ROUNDS {
            for subject in 0..house.subjects.len() {
                for node in 0..house.nodes.len() {
                    upkeep::scrub(subject, node, house).await;
                }
                upkeep::repair(subject, house, ledger).await;
                ledger.check(house);
            }
        }
        house.gateway.commit().await.unwrap();
    };
    timeout(LONGEST, repaired).await.expect("a repair takes for ever");
    for subject in 0..house.subjects.len() {
        expect_truth(subject, house);
    }
}

fn expect_truth(subject: usize, house: &House) {
    let nodes = 0..house.nodes.len();
    let right: BTreeSet<usize> = nodes.clone().filter(|node| house.has(subject, *node)).collect();
    if right.is_empty() {
        // A bad copy that is the only one stays.
        return;
    }
    assert_eq!(house.logged(subject), right, "the location log of content {subject}");
    let wanting = nodes.filter(|node| !house.unwilling[*node]);
    let lacking: Vec<usize> = wanting.filter(|node| !right.contains(node)).collect();
    assert!(lacking.is_empty(), "content {subject} is on {right:?}, and {lacking:?} want it");
    assert!(right.len() >= house.numcopies.min(house.nodes.len()), "content {subject} has {right:?}");
}
