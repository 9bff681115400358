//! Locks: what keeps them, and what ends them.

use std::time::Duration;

use annex_gateway::gateway::{GatewayError, Locked, Target};
use annex_gateway::lock_time::{LOCKED, RENEW_EVERY};
use tokio::time::{Instant, sleep, timeout};

use crate::client::{Manner, put};
use crate::house::{House, Trouble};

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

#[tokio::test(start_paused = true)]
async fn a_lock_on_a_node_that_hangs_is_renewed_and_given_back_in_time() {
    let (mut house, locked) = locked().await;
    house.trouble(0, Some(Trouble::LocksHang));
    let renewed = timeout(RENEW_EVERY * 2, house.gateway.renew(&locked)).await.expect("in time");
    assert!(matches!(renewed, Err(GatewayError::Node { .. })));
    let unlocked = timeout(RENEW_EVERY * 2, house.gateway.unlock(locked)).await.expect("in time");
    assert!(matches!(unlocked, Err(GatewayError::Node { .. })));
    assert_eq!(house.site.locks().unwrap(), 0);
    house.trouble(0, None);
    assert!(!is_removed(&house).await, "the node does not know that the lock is over");
    sleep(LOCKED).await;
    assert!(is_removed(&house).await);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_its_node_does_not_renew_is_renewed_here() {
    let (mut house, locked) = locked().await;
    house.trouble(0, Some(Trouble::LocksFail));
    let began = Instant::now();
    while began.elapsed() < LOCKED * 2 {
        sleep(RENEW_EVERY).await;
        house.gateway.renew(&locked).await.unwrap_err();
    }
    house.trouble(0, None);
    assert!(!is_removed(&house).await);
    house.gateway.renew(&locked).await.unwrap();
    house.gateway.unlock(locked).await.unwrap();
    assert!(is_removed(&house).await);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_has_ended_is_not_renewed() {
    let (house, locked) = locked().await;
    sleep(LOCKED + Duration::from_secs(2)).await;
    house.gateway.renew(&locked).await.unwrap_err();
    assert!(is_removed(&house).await);
}
