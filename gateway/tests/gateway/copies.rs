//! Copies that are bad, and what becomes of them.

use std::time::Duration;

use annex_gateway::gateway::Target;
use annex_gateway::gateway::upkeep::{self, Repaired};
use annex_gateway::pace::Pace;
use annex_protocol::p2p::AssociatedFile;
use tokio::time::sleep;

use crate::client::{Manner, Subject, get, put};
use crate::ground::node_uuid;
use crate::house::{House, Trouble};

/// The number of the content.
const SUBJECT: usize = 2;

async fn repair(house: &House) -> Result<Repaired, String> {
    let key = &house.subjects[SUBJECT].key;
    let repaired = upkeep::repair(&house.gateway, key, &AssociatedFile::default(), &Pace::default()).await;
    repaired.map_err(|error| error.to_string())
}

/// Stores the content on the first node.
async fn stored(house: &House) {
    put(&house.gateway, Target::Node(0), &house.subjects[SUBJECT], Manner::Whole).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn bad_bytes_that_were_copied_are_not_gone_on_with() {
    let house = House::new(2, 1, &[]);
    stored(&house).await;
    assert!(house.damage(SUBJECT, 0, false));
    let error = repair(&house).await.unwrap_err();
    assert!(error.contains("not the content of the key"), "{error}");
    house.mend(SUBJECT, 0);
    assert_eq!(repair(&house).await, Ok(Repaired::Stored(vec![node_uuid(1)])));
    assert!(house.has(SUBJECT, 1));
}

#[tokio::test(start_paused = true)]
async fn a_repair_that_one_node_breaks_off_has_failed() {
    for trouble in [Trouble::UploadsFail(40_000), Trouble::UploadsHang(40_000), Trouble::SaysItFailed] {
        let mut house = House::new(3, 1, &[]);
        stored(&house).await;
        house.trouble(2, Some(trouble));
        let error = repair(&house).await.unwrap_err();
        assert!(error.contains("node c"), "{error}");
        assert!(house.has(SUBJECT, 1), "the others have it");
        house.trouble(2, None);
        repair(&house).await.unwrap();
        assert!(house.has(SUBJECT, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_short_copy_lacks_comes_from_another_one() {
    let house = House::new(2, 1, &[]);
    put(&house.gateway, Target::Cluster, &house.subjects[SUBJECT], Manner::Whole).await.unwrap();
    let Subject { key, bytes } = &house.subjects[SUBJECT];
    for (left, offset) in [(0, 0), (1000, 0), (1000, 500), (1000, 1000), (1000, 2000)] {
        house.nodes[0].memory.change(key, Some(bytes.slice(..left)));
        let got = get(&house.gateway, Target::Cluster, key, offset as u64).await.unwrap().expect("it is there");
        got.ended.unwrap();
        assert!(got.bytes == bytes[offset..], "{left} bytes are left, and it is asked for from {offset}");
    }
    let error = get(&house.gateway, Target::Node(0), key, 2000).await.unwrap_err();
    assert!(error.to_string().contains("not the size of the key"), "{error}");
    sleep(Duration::from_secs(1)).await;
    assert!(house.copy(SUBJECT, 0).is_none(), "it was set aside");
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_what_a_node_checked_is_checked_when_another_gives_it() {
    for (at, wrong_at) in [(0u64, 5u64), (40_000, 5), (40_000, 40_000), (65_536, 69_999), (69_999, 69_999)] {
        let mut house = House::new(2, 1, &[]);
        put(&house.gateway, Target::Cluster, &house.subjects[SUBJECT], Manner::Whole).await.unwrap();
        house.nodes[0].memory.set_verifies(true);
        house.trouble(0, Some(Trouble::ReadsFail(at)));
        let Subject { key, bytes } = &house.subjects[SUBJECT];
        let good = get(&house.gateway, Target::Cluster, key, 0).await.unwrap().expect("it is there");
        good.ended.unwrap();
        assert!(good.bytes == *bytes, "broken off at {at}");
        let mut wrong = bytes.to_vec();
        wrong[wrong_at as usize] ^= 1;
        house.nodes[1].memory.change(key, Some(wrong.into()));
        let got = get(&house.gateway, Target::Cluster, key, 0).await.unwrap().expect("it is there");
        assert!(got.ended.is_err(), "broken off at {at}, and wrong at {wrong_at}");
    }
}
