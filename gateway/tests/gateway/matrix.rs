//! Every operation with every trouble of one node, or of all: what is told, in one table.

use std::fmt::Write;

use annex_gateway::gateway::upkeep::{self, CopyState, Stage};
use annex_gateway::gateway::{GatewayError, Target};
use annex_gateway::pace::Pace;
use annex_protocol::p2p::AssociatedFile;
use tokio::time::timeout;

use crate::client::{Manner, Sent, get, put};
use crate::house::{House, Trouble};
use crate::run::LONGEST;

/// The number of the content; it has 70,000 bytes.
const SUBJECT: usize = 2;

/// What an operation does with three nodes of which the first, the second, the third, or each is in trouble:
/// `+` it succeeds; `o` it succeeds without the node in trouble, and says so; `/` it fails for that node and works for the
/// others; `-` it fails; `0` it says that nothing is there; `?` the end of a content is wrong, which only the client can
/// find out.
const TABLE: &str = "
           away fails hangs late full unheard denies ends breaks stalls up-breaks up-stalls wrong locks
put        ooo- ooo-  ooo-  ooo- ooo- ooo-    ooo-   ++++ ++++   ++++   ooo-      ooo-      ++++  ++++
get        +++- +++-  +++-  +++- ++++ ++++    ++++   +++- +++-   +++-   ++++      ++++      -++-  ++++
get-end    +++- +++-  +++-  +++- ++++ ++++    ++++   +++- +++-   +++-   ++++      ++++      ?++?  ++++
present    +++- +++-  +++-  +++- ++++ ++++    ++++   ++++ ++++   ++++   ++++      ++++      ++++  ++++
lock       +++- +++-  +++-  +++- ++++ ++++    ++++   ++++ ++++   ++++   ++++      ++++      ++++  ++++
renew      -++- -++-  -++-  -++- ++++ ++++    ++++   ++++ ++++   ++++   ++++      ++++      ++++  -++-
remove     ///- ///-  ///-  ///- ++++ ///-    ///-   ++++ ++++   ++++   ++++      ++++      ++++  ++++
repair     /-/- /-/-  /-/-  /-/- /+/- /+/-    /+/-   +-+- +-+-   +-+-   /+/-      /+/-      +-+-  ++++
scrub      +-+- +-+-  +-+-  +-+- ++++ ++++    ++++   +-+- +-+-   +-+-   ++++      ++++      +-+-  ++++
drain      ---- ----  ----  ---- ++++ ++--    ++--   ++++ ++++   ++++   ++++      ++++      ++++  ++++
surplus    ---- ----  ----  ---- ++++ ++--    ++--   ++++ ++++   ++++   ++++      ++++      ++++  ++++
refill     +++- +++-  +++-  +++- ++++ ++++    ++++   +++- +++-   +++-   ++++      ++++      -++-  ++++
";

const TROUBLES: [(&str, Trouble); 14] = [
    ("away", Trouble::Away),
    ("fails", Trouble::Fails),
    ("hangs", Trouble::Hangs),
    ("late", Trouble::Slow(400_000)),
    ("full", Trouble::Full),
    ("unheard", Trouble::AnswersAreLost),
    ("denies", Trouble::SaysItFailed),
    ("ends", Trouble::ReadsEnd(60_000)),
    ("breaks", Trouble::ReadsFail(60_000)),
    ("stalls", Trouble::ReadsHang(60_000)),
    ("up-breaks", Trouble::UploadsFail(40_000)),
    ("up-stalls", Trouble::UploadsHang(40_000)),
    ("wrong", Trouble::ReadsWrong(60_000)),
    ("locks", Trouble::LocksHang),
];

/// Which nodes are in trouble.
const PLACES: [&[usize]; 4] = [&[0], &[1], &[2], &[0, 1, 2]];

/// What an operation is called, the nodes that have the content before, and how many copies there must be.
const OPERATIONS: [(&str, &[usize], usize); 12] = [
    ("put", &[], 1),
    ("get", &[0, 1, 2], 1),
    ("get-end", &[0, 1, 2], 1),
    ("present", &[0, 1, 2], 1),
    ("lock", &[0, 1, 2], 1),
    ("renew", &[0, 1, 2], 1),
    ("remove", &[0, 1, 2], 1),
    ("repair", &[1], 1),
    ("scrub", &[0, 1, 2], 1),
    ("drain", &[0, 1, 2], 2),
    ("surplus", &[0, 1, 2], 2),
    ("refill", &[0, 1, 2], 1),
];

#[test]
fn what_is_told_of_each_operation_with_each_trouble_stands_in_the_table() {
    let mut table = format!("\n{:10}", "");
    for (trouble, _) in TROUBLES {
        write!(table, " {trouble:4}").unwrap();
    }
    for (operation, holders, numcopies) in OPERATIONS {
        write!(table, "\n{operation:10}").unwrap();
        for (name, trouble) in TROUBLES {
            let cell: String =
                PLACES.map(|places| cell(operation, holders, numcopies, trouble, places)).iter().collect();
            write!(table, " {cell:0$}", name.len()).unwrap();
        }
    }
    let lines = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    assert_eq!(lines(&table), lines(TABLE), "it is\n{table}");
}

fn cell(operation: &str, holders: &[usize], numcopies: usize, trouble: Trouble, places: &[usize]) -> char {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut house = House::new(3, numcopies, &[false, false, operation == "surplus"]);
        for node in holders {
            put(&house.gateway, Target::Node(*node), &house.subjects[SUBJECT], Manner::Whole).await.unwrap();
        }
        let told = timeout(LONGEST, perform(operation, &mut house, trouble, places)).await;
        told.unwrap_or_else(|_elapsed| panic!("{operation} takes for ever with {trouble:?} on {places:?}"))
    })
}

/// Brings nodes into trouble.
fn befall(house: &mut House, trouble: Trouble, places: &[usize]) {
    places.iter().for_each(|node| house.trouble(*node, Some(trouble)));
}

/// Has something done, and says what was told of it. What was told is so.
async fn perform(operation: &str, house: &mut House, trouble: Trouble, places: &[usize]) -> char {
    let key = house.subjects[SUBJECT].key.clone();
    let pace = Pace::default();
    match operation {
        "renew" => {
            let locked = house.gateway.lock(Target::Cluster, &key).await.unwrap().expect("it is there");
            befall(house, trouble, places);
            said(house.gateway.renew(&locked).await.map(|()| true))
        }
        "refill" => {
            let old = house.gateway.clone();
            let troubled: Vec<_> = places.iter().map(|node| house.nodes[*node].faulty.clone()).collect();
            befall(house, trouble, places);
            house.replace(2);
            let refilled =
                upkeep::refill(&house.gateway, "c", &old, Stage::After { unlogged: false }, &pace).await.unwrap();
            drop(troubled);
            assert_eq!(refilled.missing.is_empty(), house.has(SUBJECT, 2), "{:?}", refilled.missing);
            if house.has(SUBJECT, 2) { '+' } else { '-' }
        }
        _ => {
            befall(house, trouble, places);
            let gateway = house.gateway.clone();
            match operation {
                "put" => judge_put(house, places).await,
                "get" => judge_get(house, 0).await,
                "get-end" => judge_get(house, 50_000).await,
                "present" => said(gateway.present(Target::Cluster, &key).await),
                "lock" => said(gateway.lock(Target::Cluster, &key).await.map(|locked| locked.is_some())),
                "remove" => {
                    let removed = gateway.remove(Target::Cluster, &key, None).await.unwrap();
                    for uuid in &removed.gone {
                        assert!(house.copy(SUBJECT, house.node_of(uuid).unwrap()).is_none());
                    }
                    match (removed.failures.is_empty(), removed.gone.is_empty()) {
                        (true, _) => '+',
                        (false, false) => '/',
                        (false, true) => '-',
                    }
                }
                "repair" => {
                    let repaired = upkeep::repair(&gateway, &key, &AssociatedFile::default(), &pace).await;
                    let others = [0, 2].into_iter().filter(|node| !places.contains(node));
                    let filled: Vec<bool> = others.map(|node| house.has(SUBJECT, node)).collect();
                    match repaired {
                        Ok(_) => {
                            assert!((0..3).all(|node| house.has(SUBJECT, node)));
                            '+'
                        }
                        Err(_) if !filled.is_empty() && filled.iter().all(|there| *there) => '/',
                        Err(_) => '-',
                    }
                }
                "scrub" => match upkeep::scrub(&gateway, "b", &key, &pace).await {
                    Ok((CopyState::Good, _)) => '+',
                    Ok((CopyState::Bad, _)) => '-',
                    Ok((CopyState::Gone, _)) => '0',
                    Err(error) => failed(&error),
                },
                "drain" => match upkeep::drain(&gateway, "c", &pace).await.unwrap().kept.is_empty() {
                    true => {
                        assert!(house.copy(SUBJECT, 2).is_none() && house.has(SUBJECT, 0) && house.has(SUBJECT, 1));
                        '+'
                    }
                    false => '-',
                },
                "surplus" => said(upkeep::drop_surplus(&gateway, &key).await.map(|gone| gone == ["c"])),
                _ => panic!("no operation {operation}"),
            }
        }
    }
}

async fn judge_put(house: &House, places: &[usize]) -> char {
    match put(&house.gateway, Target::Cluster, &house.subjects[SUBJECT], Manner::Whole).await {
        Ok(Sent::Stored(stored)) => {
            for uuid in &stored.nodes {
                assert!(house.has(SUBJECT, house.node_of(uuid).unwrap()));
            }
            let without = (0..3).filter(|node| !places.contains(node)).count();
            match stored.nodes.len() {
                3 => '+',
                stored_on => {
                    assert_eq!((stored_on, stored.left_out.len()), (without, places.len()), "{:?}", stored.left_out);
                    'o'
                }
            }
        }
        Ok(told) => panic!("{told:?}"),
        Err(error) => failed(&error),
    }
}

async fn judge_get(house: &House, offset: usize) -> char {
    let subject = &house.subjects[SUBJECT];
    match get(&house.gateway, Target::Cluster, &subject.key, offset as u64).await {
        Ok(None) => '0',
        Ok(Some(got)) => match got.ended {
            Ok(()) if got.bytes == subject.bytes[offset..] => '+',
            Ok(()) => {
                assert!(offset > 0, "it is wrong, and was vouched for");
                '?'
            }
            Err(error) => failed(&error),
        },
        Err(error) => failed(&error),
    }
}

fn said(told: Result<bool, GatewayError>) -> char {
    match told {
        Ok(true) => '+',
        Ok(false) => '0',
        Err(error) => failed(&error),
    }
}

fn failed(error: &GatewayError) -> char {
    crate::judge::plausible(error);
    '-'
}
