//! Uploads under way in several processes of a site, which share what room there is.

use annex_gateway::gateway::{Gateway, GatewayError, Put, Receiving, Target};
use annex_protocol::p2p::AssociatedFile;

use crate::client::{Manner, Subject, put};
use crate::ground::node_uuid;
use crate::house::House;

/// Makes a line of a log for a node.
type Line = fn(String) -> String;

async fn begin(gateway: &Gateway, target: Target, subject: &Subject) -> Result<Receiving, GatewayError> {
    match gateway.put(target, &subject.key, &AssociatedFile::default()).await? {
        Put::Receive(receiving) => Ok(receiving),
        Put::AlreadyHave(nodes) => panic!("{nodes:?} have it"),
    }
}

async fn finish(mut receiving: Receiving, subject: &Subject) -> Vec<annex_protocol::uuid::Uuid> {
    receiving.announce(subject.bytes.len() as u64).await;
    receiving.push(subject.bytes.clone()).await;
    receiving.finish(true).await.unwrap().expect("it is stored").nodes
}

#[tokio::test(start_paused = true)]
async fn an_upload_under_way_in_another_process_holds_its_room_until_it_ends() {
    let mut house = House::new(1, 1, &[]);
    house.nodes[0].memory.set_room(Some(300_000));
    house.set_local(0);
    let (one, two) = (Subject::new(200_000), Subject::new(150_000));
    let other = house.process();
    let under_way = begin(&house.gateway, Target::Cluster, &one).await.unwrap();
    let error = begin(&other, Target::Node(0), &two).await.err().expect("there is no room").to_string();
    assert!(error.contains("node a: full: ") && error.contains("for uploads under way"), "{error}");
    assert_eq!(house.site.reserved().unwrap()["a"], 200_000);
    assert_eq!(finish(under_way, &one).await, [node_uuid(0)]);
    assert!(house.site.reserved().unwrap().is_empty());
    let error = begin(&other, Target::Node(0), &two).await.err().expect("it is full").to_string();
    assert!(error.contains("100 kB are free, and this key needs 150 kB"), "{error}");
    house.gateway.remove(Target::Cluster, &one.key, None).await.unwrap();
    put(&other, Target::Cluster, &two, Manner::Whole).await.unwrap();
    assert!(house.nodes[0].memory.content(&two.key).is_some());
}

#[tokio::test(start_paused = true)]
async fn sizebalanced_placement_counts_uploads_under_way() {
    let house = House::new(2, 1, &[]);
    let each = |line: Line| (0..2).map(|node| line(node_uuid(node).to_string())).collect::<String>();
    let logs: [(&str, Line); 3] = [
        ("group.log", |uuid| format!("{uuid} nodes timestamp=1s\n")),
        ("maxsize.log", |uuid| format!("1s {uuid} 100000000\n")),
        ("preferred-content.log", |uuid| format!("{uuid} sizebalanced=nodes:1 timestamp=1s\n")),
    ];
    for (path, line) in logs {
        house.branch.change(&[path.into()], |_, _| Some(each(line).into_bytes())).unwrap();
    }
    let (one, two) = (Subject::new(30_000), Subject::new(20_000));
    // Both nodes are empty when the second one comes: it goes where the first one does not.
    let first = begin(&house.gateway, Target::Cluster, &one).await.unwrap();
    let second = begin(&house.process(), Target::Cluster, &two).await.unwrap();
    let (second, first) = (finish(second, &two).await, finish(first, &one).await);
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_ne!(first, second);
}
