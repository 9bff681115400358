//! What the git-annex branch and the site's settings say of copies: how many there must be, where they go, who may lose one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use annex_gateway::gateway::upkeep::Stage;
use annex_gateway::gateway::{ErrorKind, Target, upkeep};
use annex_gateway::lock_time::LOCKED;
use annex_gateway::pace::Pace;

use crate::client::{Manner, Sent, put};
use crate::ground::node_uuid;
use crate::house::{House, Trouble};

/// The number of the content; it has 1000 bytes.
const SUBJECT: usize = 1;

/// Files of the git-annex branch, and what they say.
type Logs<'a> = &'a [(&'a str, &'a str)];

/// Makes a repository of three nodes with these files on its git-annex branch, and the content on each of them. `{N}` stands
/// for the node at position N.
async fn everywhere(numcopies: usize, logs: Logs<'_>) -> House {
    let house = House::new(3, numcopies, &[false, false, true]);
    for node in 0..3 {
        put(&house.gateway, Target::Node(node), &house.subjects[SUBJECT], Manner::Whole).await.unwrap();
    }
    logs.iter().for_each(|(path, content)| write(&house, path, content));
    house
}

/// Replaces a file of the git-annex branch.
fn write(house: &House, path: &str, content: &str) {
    let named = |text: String, node: usize| text.replace(&format!("{{{node}}}"), &node_uuid(node).to_string());
    let content = (0..3).fold(content.to_owned(), named);
    house.branch.change(&[path.into()], |_, _| Some(content.clone().into_bytes())).unwrap();
}

async fn dropped(house: &House) -> Result<Vec<String>, String> {
    let dropped = upkeep::drop_surplus(&house.gateway, &house.subjects[SUBJECT].key).await;
    dropped.map_err(|error| error.to_string())
}

fn left(house: &House) -> Vec<usize> {
    (0..house.nodes.len()).filter(|node| house.has(SUBJECT, *node)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_surplus_copy_goes_only_as_numcopies_mincopies_and_trust_allow() {
    let cases: [(usize, Logs, &[usize]); 8] = [
        (1, &[], &[0, 1]),
        (2, &[], &[0, 1]),
        (3, &[], &[0, 1, 2]),
        (1, &[("mincopies.log", "1s 3\n")], &[0, 1, 2]),
        (2, &[("trust.log", "{1} 0 timestamp=1s\n")], &[0, 1, 2]),
        (1, &[("trust.log", "{1} 0 timestamp=1s\n")], &[0, 1]),
        (2, &[("trust.log", "{2} 1 timestamp=1s\n")], &[0, 1, 2]),
        (1, &[("trust.log", "{2} X timestamp=1s\n")], &[0, 1, 2]),
    ];
    for (numcopies, logs, expected) in cases {
        let house = everywhere(numcopies, logs).await;
        assert_eq!(dropped(&house).await.unwrap().is_empty(), expected.len() == 3, "{numcopies} {logs:?}");
        assert_eq!(left(&house), expected, "{numcopies} {logs:?}");
        assert_eq!(house.logged(SUBJECT).into_iter().collect::<Vec<_>>(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn required_content_stays_and_what_a_file_name_could_make_wanted() {
    let cases = [
        ("required-content.log", "{2} largerthan=100 timestamp=1s\n", true),
        ("required-content.log", "{2} largerthan=2000 timestamp=1s\n", false),
        ("preferred-content.log", "{2} include=*.raw timestamp=1s\n", true),
        ("preferred-content.log", "{2} include=*.raw and largerthan=2000 timestamp=1s\n", false),
        ("preferred-content.log", "{2} anything timestamp=1s\n", true),
    ];
    for (path, content, stays) in cases {
        let house = everywhere(1, &[(path, content)]).await;
        assert_eq!(dropped(&house).await.unwrap().is_empty(), stays, "{content}");
        assert_eq!(house.has(SUBJECT, 2), stays, "{content}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_surplus_copy_stays_while_it_is_locked_or_another_one_cannot_be() {
    let mut house = everywhere(2, &[]).await;
    let key = house.subjects[SUBJECT].key.clone();
    let locked = house.gateway.lock(Target::Node(2), &key).await.unwrap().expect("it is there");
    let error = dropped(&house).await.unwrap_err();
    assert!(error.contains("copy on node c stays: node c: the content is locked against removal"), "{error}");
    house.gateway.unlock(locked).await.unwrap();
    house.trouble(1, Some(Trouble::Away));
    let error = dropped(&house).await.unwrap_err();
    assert!(error.contains("copy on node c stays: 2 copies must be on other nodes, but only 1 are"), "{error}");
    house.trouble(1, None);
    assert_eq!(dropped(&house).await.unwrap(), ["c"]);
    assert_eq!(left(&house), [0, 1]);
    assert_eq!(house.site.locks().unwrap(), 0, "none is left behind");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_else_can_hold_stays_on_a_node_that_is_emptied() {
    let mut house = House::new(3, 1, &[]);
    put(&house.gateway, Target::Node(2), &house.subjects[SUBJECT], Manner::Whole).await.unwrap();
    house.set_draining(2, true);
    house.trouble(0, Some(Trouble::Away));
    house.trouble(1, Some(Trouble::Fails));
    let drained = upkeep::drain(&house.gateway, "c", &Pace::default()).await.unwrap();
    assert_eq!((drained.gone, drained.kept.len()), (0, 1));
    assert!(drained.kept[0].1.starts_with("1 copies must be on other nodes, but only 0 are"), "{:?}", drained.kept);
    assert_eq!(left(&house), [2]);
    house.trouble(1, None);
    let drained = upkeep::drain(&house.gateway, "c", &Pace::default()).await.unwrap();
    assert_eq!((drained.gone, left(&house)), (1, vec![1]), "one copy is enough");
}

#[tokio::test(start_paused = true)]
async fn what_nodes_want_decides_from_the_next_upload_on() {
    let house = House::new(3, 2, &[true, true, true]);
    let sent = async |subject: usize| match put(
        &house.gateway,
        Target::Cluster,
        &house.subjects[subject],
        Manner::Whole,
    )
    .await
    {
        Ok(Sent::Stored(stored)) => stored.nodes.iter().filter_map(|uuid| house.node_of(uuid)).collect::<Vec<_>>(),
        told => panic!("{told:?}"),
    };
    assert_eq!(sent(0).await.len(), 2, "nobody wants it: as many as numcopies asks for");
    write(
        &house,
        "preferred-content.log",
        "{0} nothing timestamp=1s\n{1} anything timestamp=2s\n{2} nothing timestamp=1s\n",
    );
    write(&house, "numcopies.log", "2s 1\n");
    assert_eq!(sent(1).await, [1]);
    let presence = house.gateway.present(Target::Cluster, &house.subjects[1].key).await;
    assert!(presence.unwrap());
    // Time goes on only when somebody has looked whether copies are missing.
    tokio::time::sleep(LOCKED).await;
    assert_eq!(house.site.count_repairs().unwrap(), (0, 0), "nobody else wants it");
    write(&house, "preferred-content.log", "{0} nothing timestamp=1s\n{1} anything timestamp=2s\n");
    assert_eq!(sent(2).await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn the_cheapest_node_is_asked_and_the_next_one_when_it_fails() {
    let mut house = House::new(3, 1, &[]);
    put(&house.gateway, Target::Cluster, &house.subjects[SUBJECT], Manner::Whole).await.unwrap();
    for (trouble, source) in [(None, 0), (Some(Trouble::Away), 1), (Some(Trouble::Hangs), 1), (None, 0)] {
        house.trouble(0, trouble);
        // A node that was silent has its turn again after a while.
        tokio::time::sleep(LOCKED * 2).await;
        let body = house.gateway.get(Target::Cluster, &house.subjects[SUBJECT].key, 0).await.unwrap().unwrap();
        assert_eq!(house.node_of(body.source()), Some(source), "{trouble:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_copy_that_was_read_longest_ago_is_due_first() {
    let house = House::new(2, 1, &[]);
    let minute = std::time::Duration::from_secs(60);
    for subject in 0..3 {
        put(&house.gateway, Target::Node(0), &house.subjects[subject], Manner::Whole).await.unwrap();
        tokio::time::sleep(minute).await;
    }
    let key = |subject: usize| house.subjects[subject].key.clone();
    let due = |before: u64| -> Vec<_> {
        let due = upkeep::copies_due(&house.gateway, &["a".to_owned(), "b".to_owned()].into(), before, 10).unwrap();
        due.into_iter().map(|due| due.key).collect()
    };
    let now = || house.site.clock().unix_seconds();
    assert_eq!(due(now()), [key(0), key(1), key(2)]);
    house.site.scrubbed(&[(node_uuid(0), key(1))]).unwrap();
    tokio::time::sleep(minute).await;
    assert_eq!(due(now()), [key(0), key(2), key(1)]);
    assert_eq!(due(now() - 100), [key(0), key(2)]);
}

#[tokio::test(start_paused = true)]
async fn unknown_is_neither_present_nor_absent() {
    let mut house = House::new(3, 1, &[]);
    put(&house.gateway, Target::Node(2), &house.subjects[SUBJECT], Manner::Whole).await.unwrap();
    house.trouble(2, Some(Trouble::Away));
    let (stored, never) = (&house.subjects[SUBJECT].key, &house.subjects[0].key);
    let gateway = &house.gateway;
    let told = gateway.present(Target::Cluster, stored).await.unwrap_err().to_string();
    assert!(told.contains("node c"), "{told}");
    gateway.get(Target::Cluster, stored, 0).await.err().expect("nobody knows");
    gateway.lock(Target::Cluster, stored).await.err().expect("nobody knows");
    assert!(!gateway.present(Target::Cluster, never).await.unwrap(), "nobody expects it to be there");
    let told = gateway.present(Target::Node(2), never).await.unwrap_err().to_string();
    assert!(told.contains("node c"), "{told}");
    let removed = gateway.remove(Target::Cluster, stored, None).await.unwrap();
    assert_eq!(removed.kind(), ErrorKind::Unreachable, "{:?}", removed.failures);
    assert!(removed.failures[0].to_string().contains("node c"), "{:?}", removed.failures);
    assert_eq!(house.logged(SUBJECT).into_iter().collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn a_node_in_a_new_place_gets_each_key_once_whatever_is_recorded_meanwhile() {
    let house = House::new(1, 1, &[]);
    for subject in &house.subjects {
        put(&house.gateway, Target::Node(0), subject, Manner::Whole).await.unwrap();
    }
    let (branch, path) = (house.branch.clone(), house.subjects[SUBJECT].key.branch_path(".log"));
    let ended = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&ended);
    // A daemon that uses the new place already does not find the content there, and then stores it again.
    let daemon = std::thread::spawn(move || {
        for seconds in (1..).take_while(|_| !stop.load(Ordering::Relaxed)) {
            let line = format!("{seconds}s {} {}\n", seconds % 2, node_uuid(0));
            branch.change(std::slice::from_ref(&path), |_, _| Some(line.clone().into_bytes())).unwrap();
        }
    });
    let old = house.process();
    let mut counted = BTreeSet::new();
    for _ in 0..50 {
        let stage = Stage::After { unlogged: true };
        let filled = upkeep::refill(&house.gateway, "a", &old, stage, &Pace::default()).await.unwrap();
        counted.insert((filled.there, filled.copied, filled.missing.len()));
    }
    ended.store(true, Ordering::Relaxed);
    daemon.join().unwrap();
    assert_eq!(counted, [(house.subjects.len(), 0, 0)].into());
}

#[tokio::test(start_paused = true)]
async fn an_old_place_that_does_not_answer_is_told_of() {
    let mut house = House::new(1, 1, &[]);
    put(&house.gateway, Target::Node(0), &house.subjects[SUBJECT], Manner::Whole).await.unwrap();
    let log = house.subjects[SUBJECT].key.branch_path(".log");
    write(&house, std::str::from_utf8(&log).unwrap(), "9999999999s 0 {0}\n");
    house.trouble(0, Some(Trouble::Away));
    let old = house.gateway.clone();
    house.replace(0);
    let stage = Stage::After { unlogged: true };
    let filled = upkeep::refill(&house.gateway, "a", &old, stage, &Pace::default()).await.unwrap();
    assert!(filled.missing.is_empty(), "nobody says that it was there");
    assert!(filled.not_asked.unwrap().contains("away"));
}
