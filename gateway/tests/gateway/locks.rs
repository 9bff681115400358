//! Locks: what keeps them, and what ends them.

use annex_gateway::gateway::{Locked, Target};

use crate::client::{Manner, put};
use crate::house::House;

/// The number of the content that is locked.
const SUBJECT: usize = 1;

/// Makes a repository with a content on its only node, which is locked there.
async fn locked() -> (House, Locked) {
    let house = House::new(1, 1, &[]);
    put(&house.gateway, Target::Cluster, &house.subjects[SUBJECT], Manner::Whole).await.unwrap();
    let locked = house.gateway.lock(Target::Node(0), &house.subjects[SUBJECT].key).await.unwrap();
    (house, locked.expect("it is there"))
}

async fn is_removed(house: &House) -> bool {
    let removed = house.gateway.remove(Target::Node(0), &house.subjects[SUBJECT].key, None).await.unwrap();
    assert_eq!(removed.gone.is_empty(), house.has(SUBJECT, 0));
    !removed.gone.is_empty()
}

#[tokio::test(start_paused = true)]
async fn locked_content_is_not_removed_until_it_is_given_back() {
    let (house, locked) = locked().await;
    assert!(!is_removed(&house).await);
    house.gateway.unlock(locked).await.unwrap();
    assert!(is_removed(&house).await);
}
