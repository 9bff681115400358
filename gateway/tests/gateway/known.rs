//! What the gateway knows of a node that only this site changes, without asking it.

use std::time::Duration;

use annex_gateway::gateway::Target;
use annex_gateway::node::faulty::Operation;
use tokio::time::sleep;

use crate::client::{Manner, get, put};
use crate::house::House;

/// The number of the content.
const SUBJECT: usize = 1;

/// What is seen within the second of a removal may have been there before it, and is not remembered.
const A_SECOND: Duration = Duration::from_millis(1100);

fn house() -> House {
    let known = "store = \"external:shelf?directory=/nowhere\"\nrepo = \"r\"\nknown_seconds = 3600";
    House::configured(1, |text| text.replace("store = \"keep:nodes/a\"", known))
}

async fn present(house: &House) -> bool {
    house.gateway.present(Target::Node(0), &house.subjects[SUBJECT].key).await.unwrap()
}

async fn store(house: &House) {
    put(&house.gateway, Target::Node(0), &house.subjects[SUBJECT], Manner::Whole).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn presence_is_answered_from_knowledge_until_another_process_removes_the_content() {
    let house = house();
    store(&house).await;
    sleep(A_SECOND).await;
    assert!(present(&house).await);
    let asked = house.nodes[0].faulty.asked(Operation::Present);
    assert!(present(&house).await && present(&house).await);
    assert_eq!(house.nodes[0].faulty.asked(Operation::Present), asked);
    sleep(Duration::from_secs(3600)).await;
    assert!(present(&house).await);
    assert_eq!(house.nodes[0].faulty.asked(Operation::Present), asked + 1, "it is too long ago");
    house.process().remove(Target::Node(0), &house.subjects[SUBJECT].key, None).await.unwrap();
    assert!(!present(&house).await);
    store(&house).await;
    sleep(A_SECOND).await;
    assert!(present(&house).await);
}

#[tokio::test(start_paused = true)]
async fn content_that_turns_out_to_be_lost_is_not_known_any_more() {
    let house = house();
    store(&house).await;
    sleep(A_SECOND).await;
    assert!(present(&house).await);
    house.lose(SUBJECT, 0);
    assert!(present(&house).await, "nobody but the site should do that");
    assert!(get(&house.gateway, Target::Node(0), &house.subjects[SUBJECT].key, 0).await.unwrap().is_none());
    assert!(!present(&house).await);
    assert!(house.logged(SUBJECT).is_empty());
    assert_eq!(house.site.count_repairs().unwrap(), (1, 0));
}
