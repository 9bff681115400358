//! Uploads that break off and are gone on with.

use std::time::Duration;

use annex_gateway::gateway::Target;
use annex_gateway::node::NodeError;
use annex_gateway::node::faulty::{Fault, Operation};
use tokio::time::timeout;

use crate::client::{Manner, Sent, put};
use crate::house::House;
use crate::run::LONGEST;

/// The number of the content that is uploaded.
const SUBJECT: usize = 2;

async fn send(house: &House, target: Target, manner: Manner) -> Result<usize, String> {
    let sent = put(&house.gateway, target, &house.subjects[SUBJECT], manner).await;
    match sent.map_err(|error| error.to_string())? {
        Sent::Stored(stored) => Ok(stored.nodes.len()),
        Sent::NotStored => Ok(0),
        Sent::Already(_) => panic!("it was not there"),
    }
}

/// What the nodes have: whether it is there, and right.
fn copies(house: &House) -> Vec<Option<bool>> {
    let copy = |node| house.copy(SUBJECT, node).map(|_| house.has(SUBJECT, node));
    (0..house.nodes.len()).map(copy).collect()
}

#[tokio::test(start_paused = true)]
async fn wrong_bytes_that_one_node_kept_are_not_stored_because_others_have_fewer() {
    let house = House::new(3, 1, &[]);
    assert_eq!(send(&house, Target::Node(1), Manner::WrongAndBreaksOff(4)).await, Ok(0));
    assert_eq!(send(&house, Target::Node(2), Manner::BreaksOff(6)).await, Ok(0));
    assert_eq!(send(&house, Target::Cluster, Manner::Whole).await, Ok(2));
    assert_eq!(copies(&house), [Some(true), None, Some(true)]);
    assert_eq!(house.site.count_repairs().unwrap(), (1, 0), "the third copy is to come");
    assert_eq!(send(&house, Target::Node(1), Manner::Whole).await, Ok(1), "nothing is left of what was wrong");
}

#[tokio::test(start_paused = true)]
async fn nodes_that_kept_different_bytes_start_at_the_beginning() {
    let house = House::new(2, 1, &[]);
    assert_eq!(send(&house, Target::Node(0), Manner::WrongAndBreaksOff(4)).await, Ok(0));
    assert_eq!(send(&house, Target::Node(1), Manner::BreaksOff(4)).await, Ok(0));
    assert_eq!(send(&house, Target::Cluster, Manner::Whole).await, Ok(2));
    assert_eq!(copies(&house), [Some(true), Some(true)]);
}

#[tokio::test(start_paused = true)]
async fn wrong_bytes_that_the_only_node_kept_are_thrown_away_at_the_end() {
    let house = House::new(1, 1, &[]);
    assert_eq!(send(&house, Target::Cluster, Manner::WrongAndBreaksOff(4)).await, Ok(0));
    let error = send(&house, Target::Cluster, Manner::Whole).await.unwrap_err();
    assert!(error.contains("not the content of the key"), "{error}");
    assert_eq!(copies(&house), [None]);
    assert_eq!(send(&house, Target::Cluster, Manner::Whole).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_give_back_what_it_kept_starts_at_the_beginning() {
    let away = || NodeError::Unreachable("away".to_owned());
    for fault in [Fault::Hangs, Fault::Fails(away()), Fault::Late(Duration::from_secs(30))] {
        let house = House::new(2, 1, &[]);
        assert_eq!(send(&house, Target::Node(0), Manner::BreaksOff(4)).await, Ok(0));
        house.nodes[0].faulty.always(Operation::Kept, fault);
        let sent = timeout(LONGEST, send(&house, Target::Cluster, Manner::Whole)).await;
        assert_eq!(sent.expect("in time"), Ok(2));
        assert_eq!(copies(&house), [Some(true), Some(true)]);
    }
}
