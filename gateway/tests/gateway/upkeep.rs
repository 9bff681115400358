//! What admins and the daemon do for a repository, and what they are told.

use std::collections::BTreeSet;

use annex_gateway::gateway::GatewayError;
use annex_gateway::gateway::upkeep::{self, CopyState, Repaired, Stage};
use annex_gateway::pace::Pace;
use annex_protocol::p2p::AssociatedFile;

use crate::house::House;
use crate::judge::plausible;
use crate::ledger::Ledger;

/// Repairs a content, from which a node may lose a copy that was damaged.
pub(crate) async fn repair(subject: usize, house: &House, ledger: &mut Ledger) {
    let key = &house.subjects[subject].key;
    match upkeep::repair(&house.gateway, key, &AssociatedFile::default(), &Pace::default()).await {
        Ok(Repaired::Stored(nodes)) => {
            for node in nodes.iter().filter_map(|uuid| house.node_of(uuid)).filter(|node| !house.lies(*node)) {
                assert!(
                    house.has(subject, node),
                    "content {subject} was brought to node {node}, and is not there: {:?}",
                    house
                        .copy(subject, node)
                        .map(|c| c.iter().zip(house.subjects[subject].bytes.iter()).position(|(a, b)| a != b))
                );
                ledger.promise((subject, node));
            }
        }
        Ok(Repaired::Lost | Repaired::Unknown) => {
            let holders = ledger.holders(subject);
            assert!(holders.is_empty(), "content {subject} is said to be lost, and is on {holders:?}");
        }
        Err(error) => {
            // What a client has spoiled is thrown away by that.
            let trouble = !house.all_well() || ledger.is_damaged(subject) || ledger.is_spoiled(subject);
            assert!(trouble, "no node is in trouble: {error}");
            plausible(&error);
        }
    }
}

/// Counts the nodes that have a content and that no lie is told of.
fn copies(subject: usize, house: &House) -> usize {
    (0..house.nodes.len()).filter(|node| house.has(subject, *node)).count()
}

/// Asks that copies may have gone only while enough are left. Where a node lies, or has a damaged copy that nobody has read
/// yet, nobody can tell.
fn expect_enough_left(subject: usize, before: usize, house: &House, ledger: &Ledger) {
    let after = copies(subject, house);
    let honest = (0..house.nodes.len()).all(|node| !house.lies(node)) && !ledger.is_damaged(subject);
    assert!(!honest || after >= before.min(house.numcopies), "content {subject} has {after} copies left of {before}");
}

/// Has copies dropped that nobody wants.
pub(crate) async fn drop_surplus(subject: usize, house: &House, ledger: &mut Ledger) {
    let before = copies(subject, house);
    let dropped = upkeep::drop_surplus(&house.gateway, &house.subjects[subject].key).await;
    expect_enough_left(subject, before, house, ledger);
    for node in 0..house.nodes.len() {
        let told = match &dropped {
            Ok(names) => names.contains(&house.nodes[node].name),
            // Of a node that failed nobody knows.
            Err(_) => !house.has(subject, node),
        };
        if told {
            assert!(house.lies(node) || !house.has(subject, node), "content {subject} is not gone from node {node}");
            ledger.release((subject, node));
        }
    }
    if let Err(error) = dropped {
        assert!(
            ledger.may_be_held(subject) || !house.all_well() || ledger.is_damaged(subject),
            "no node is in trouble: {error}"
        );
        plausible(&error);
    }
}

/// Empties a node, which is to become empty meanwhile.
pub(crate) async fn drain(node: usize, house: &mut House, ledger: &mut Ledger) {
    let subjects = 0..house.subjects.len();
    let before: Vec<usize> = subjects.clone().map(|subject| copies(subject, house)).collect();
    house.set_draining(node, true);
    let name = house.nodes[node].name.clone();
    let drained = upkeep::drain(&house.gateway, &name, &Pace::default()).await;
    for subject in subjects {
        expect_enough_left(subject, before[subject], house, ledger);
        if !house.has(subject, node) {
            let told = drained.is_ok() || house.lies(node);
            assert!(told, "content {subject} is gone from node {node}, and nothing was said");
            ledger.release((subject, node));
        }
    }
    match drained {
        Ok(drained) => {
            let kept: BTreeSet<_> = drained.kept.iter().map(|(key, _)| key.clone()).collect();
            for (subject, held) in house.subjects.iter().enumerate() {
                let left = house.copy(subject, node).is_some() && ledger.holders(subject).contains(&node);
                assert!(!left || kept.contains(&held.key), "content {subject} is said to be gone from node {node}");
            }
        }
        Err(error) => plausible(&error),
    }
    house.set_draining(node, false);
    ledger.connections_lost();
}

/// Reads a copy again.
pub(crate) async fn scrub(subject: usize, node: usize, house: &House) {
    let (key, name) = (&house.subjects[subject].key, &house.nodes[node].name);
    let before = house.copy(subject, node);
    let right = house.has(subject, node);
    match upkeep::scrub(&house.gateway, name, key, &Pace::default()).await {
        Ok((CopyState::Good, _)) => assert!(right || house.lies(node), "content {subject} on node {node} is not good"),
        Ok((CopyState::Bad, _)) => assert!(!right || house.lies(node), "content {subject} on node {node} is not bad"),
        Ok((CopyState::Gone, _)) => assert!(!right || house.lies(node), "content {subject} on node {node} is not gone"),
        Err(error) => {
            assert!(!house.is_well(node) || before.is_some() && !right, "no node is in trouble: {error}");
            assert!(matches!(error, GatewayError::Node { .. }), "{error}");
        }
    }
}

/// Gives a node a new, empty place, and fills that from the old one.
pub(crate) async fn replace(node: usize, house: &mut House, ledger: &mut Ledger) {
    let (name, pace) = (house.nodes[node].name.clone(), Pace::default());
    let old = house.gateway.clone();
    let lied = house.lies(node);
    house.replace(node);
    let new = &house.gateway;
    upkeep::refill(new, &name, &old, Stage::Before, &pace).await.unwrap();
    let filled = upkeep::refill(new, &name, &old, Stage::After { unlogged: true }, &pace).await.unwrap();
    let missing: BTreeSet<_> = filled.missing.iter().map(|(key, _)| key.clone()).collect();
    for (subject, content) in house.subjects.iter().enumerate() {
        let copy = (subject, node);
        let promised = ledger.holders(subject).contains(&node);
        ledger.tampered(copy, false);
        if promised && !lied && !missing.contains(&content.key) {
            ledger.promise(copy);
        }
    }
    ledger.connections_lost();
}
