//! Copies that are bad, and what becomes of them.

use annex_gateway::gateway::{Repaired, Target};
use annex_gateway::pace::Pace;
use annex_protocol::p2p::AssociatedFile;

use crate::client::{Manner, put};
use crate::ground::node_uuid;
use crate::house::House;

/// The number of the content.
const SUBJECT: usize = 2;

async fn repair(house: &House) -> Result<Repaired, String> {
    let key = &house.subjects[SUBJECT].key;
    let repaired = house.gateway.repair(key, &AssociatedFile::default(), &Pace::default()).await;
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
    assert!(house.damage(SUBJECT, 0));
    let error = repair(&house).await.unwrap_err();
    assert!(error.contains("not the content of the key"), "{error}");
    house.mend(SUBJECT, 0);
    assert_eq!(repair(&house).await, Ok(Repaired::Stored(vec![node_uuid(1)])));
    assert!(house.has(SUBJECT, 1));
}
