//! What holds for the catalogue in every database.

use annex_gateway::database::DatabaseError;
use annex_keep::arvados::catalogue::{
    Access, Base, Catalogue, Collection, Filter, Level, Link, List, ListError, Order, Page, Project, Record, Viewer,
};
use serde_json::json;

const NOW: i64 = 1_795_321_893_123_456;
const ALICE: &str = "zzzzz-tpzed-alice0000000000";
const BOB: &str = "zzzzz-tpzed-bob000000000000";
const EVERYBODY: &str = "zzzzz-j7d0g-fffffffffffffff";

fn viewer(user: &str) -> Viewer {
    Viewer { user: user.to_owned(), admin: false }
}

fn base(uuid: &str, owner: &str, name: &str) -> Base {
    Base {
        uuid: uuid.to_owned(),
        owner: owner.to_owned(),
        name: Some(name.to_owned()),
        properties: "{}".to_owned(),
        created_at: NOW,
        modified_at: NOW,
        modified_by: owner.to_owned(),
        ..Base::default()
    }
}

fn collection(uuid: &str, owner: &str, name: &str) -> Collection {
    Collection {
        base: base(uuid, owner, name),
        portable_data_hash: "d41d8cd98f00b204e9800998ecf8427e+0".to_owned(),
        storage_classes_desired: "[]".to_owned(),
        version: 1,
        reference: format!("{uuid}.1"),
        ..Collection::default()
    }
}

fn project(uuid: &str, owner: &str) -> Project {
    Project { base: base(uuid, owner, uuid), group_class: "project".to_owned() }
}

fn permission(uuid: &str, tail: &str, name: &str, head: &str) -> Link {
    Link { base: base(uuid, ALICE, name), class: "permission".to_owned(), tail: tail.to_owned(), head: head.to_owned() }
}

#[allow(clippy::needless_pass_by_value, reason = "it is called with what `json!` makes")]
fn list(filters: serde_json::Value) -> List {
    List { filters: Filter::parse_all(&filters).unwrap(), limit: 100, count: true, ..List::default() }
}

async fn found(catalogue: &Catalogue, user: &str, list: &List) -> Vec<String> {
    let page: Page<Collection> = catalogue.list(&viewer(user), list, NOW).await.unwrap();
    let mut uuids: Vec<_> = page.items.into_iter().map(|collection| collection.base.uuid).collect();
    assert_eq!(page.available, Some(uuids.len() as i64));
    uuids.sort();
    uuids
}

pub(crate) async fn what_is_added_comes_back_as_it_was(catalogue: Catalogue) {
    let mut one = collection("c1", ALICE, "Größe 'x' \"y\" \\ $1");
    one.base.description = Some("line\nline".to_owned());
    one.base.properties = json!({"a": 1, "ü": null}).to_string();
    one.base.trash_at = Some(NOW + 1);
    one.base.delete_at = Some(NOW + 2);
    one.replication_desired = Some(3);
    one.preserve_version = true;
    one.file_size_total = i64::MAX;
    one.manifest = ". d41d8cd98f00b204e9800998ecf8427e+0 0:0:a\n".repeat(100_000);
    catalogue.add(&one).await.unwrap();
    assert_eq!(catalogue.get::<Collection>("c1").await.unwrap(), Some(one.clone()));
    assert_eq!(catalogue.get::<Collection>("c2").await.unwrap(), None);
    assert_eq!(catalogue.get::<Project>("c1").await.unwrap(), None);
    let listed: Page<Collection> = catalogue.list(&viewer(ALICE), &list(json!([])), NOW).await.unwrap();
    assert_eq!(listed.items[0], Collection { manifest: String::new(), ..one.clone() });
    let whole: Page<Collection> =
        catalogue.list(&viewer(ALICE), &List { whole: true, ..list(json!([])) }, NOW).await.unwrap();
    assert_eq!(whole.items, [one]);
    assert!(catalogue.refers("c1.1").await.unwrap());
    assert!(!catalogue.refers("c1.2").await.unwrap());
    assert!(!catalogue.refers("c2.1").await.unwrap());
}

pub(crate) async fn a_name_is_there_once_for_an_owner_and_again_after_the_trash(catalogue: Catalogue) {
    let mut one = collection("c1", ALICE, "name");
    catalogue.add(&one).await.unwrap();
    let again = catalogue.add(&collection("c2", ALICE, "name")).await;
    assert!(matches!(again, Err(DatabaseError::Duplicate)), "{again:?}");
    catalogue.add(&collection("c3", BOB, "name")).await.unwrap();
    for uuid in ["c4", "c5"] {
        let mut nameless = collection(uuid, ALICE, "");
        nameless.base.name = None;
        catalogue.add(&nameless).await.unwrap();
    }
    one.base.trash_at = Some(NOW);
    one.base.modified_at = NOW + 1;
    catalogue.change(&one, NOW).await.unwrap();
    catalogue.add(&collection("c2", ALICE, "name")).await.unwrap();
    one.base.trash_at = None;
    let back = catalogue.change(&one, NOW + 1).await;
    assert!(matches!(back, Err(DatabaseError::Duplicate)), "{back:?}");
}

pub(crate) async fn a_change_of_what_was_changed_meanwhile_is_refused(catalogue: Catalogue) {
    let mut one = collection("c1", ALICE, "name");
    catalogue.add(&one).await.unwrap();
    one.base.modified_at = NOW + 1;
    one.base.name = Some("other".to_owned());
    catalogue.change(&one, NOW).await.unwrap();
    let stale = catalogue.change(&Collection { version: 9, ..one.clone() }, NOW).await;
    assert!(matches!(stale, Err(DatabaseError::Stale)), "{stale:?}");
    let stale = catalogue.remove::<Collection>("c1", NOW).await;
    assert!(matches!(stale, Err(DatabaseError::Stale)), "{stale:?}");
    assert_eq!(catalogue.get::<Collection>("c1").await.unwrap(), Some(one));
    catalogue.add(&permission("l1", BOB, "can_read", "c1")).await.unwrap();
    catalogue.remove::<Collection>("c1", NOW + 1).await.unwrap();
    assert_eq!(catalogue.get::<Collection>("c1").await.unwrap(), None);
    assert_eq!(catalogue.get::<Link>("l1").await.unwrap(), None, "who is linked to nothing is not linked");
}

pub(crate) async fn filters_find_what_they_say(catalogue: Catalogue) {
    for (uuid, name, properties, size) in [
        ("c1", Some("Alpha"), json!({"type": "log", "n": 5, "a b.\"c\"$": "odd"}), 10),
        ("c2", Some("beta_1"), json!({"type": "data", "$x": "y"}), 20),
        ("c3", None, json!({}), 30),
    ] {
        let mut one = collection(uuid, ALICE, "");
        one.base.name = name.map(str::to_owned);
        one.base.properties = properties.to_string();
        one.base.created_at = NOW + size;
        one.file_size_total = size;
        catalogue.add(&one).await.unwrap();
    }
    for (filter, wanted) in [
        (json!(["name", "=", "Alpha"]), &["c1"][..]),
        (json!(["name", "=", "alpha"]), &[]),
        (json!(["name", "!=", "Alpha"]), &["c2", "c3"]),
        (json!(["name", "=", null]), &["c3"]),
        (json!(["name", "!=", null]), &["c1", "c2"]),
        (json!(["name", "like", "Al%"]), &["c1"]),
        (json!(["name", "like", "al%"]), &[]),
        (json!(["name", "ilike", "AL%"]), &["c1"]),
        (json!(["name", "like", "beta\\_1"]), &["c2"]),
        (json!(["name", "like", "Alph\\_"]), &[]),
        (json!(["name", "not ilike", "al%"]), &["c2"]),
        (json!(["name", "<", "a"]), &["c1"]),
        (json!(["uuid", "in", ["c1", "c3", "c9"]]), &["c1", "c3"]),
        (json!(["uuid", "in", []]), &[]),
        (json!(["uuid", "not in", ["c1"]]), &["c2", "c3"]),
        (json!(["uuid", "not in", []]), &["c1", "c2", "c3"]),
        (json!(["name", "in", ["Alpha", null]]), &["c1", "c3"]),
        (json!(["name", "not in", ["Alpha"]]), &["c2", "c3"]),
        (json!(["file_size_total", ">=", 20]), &["c2", "c3"]),
        (json!(["collections.file_size_total", "<", 20]), &["c1"]),
        (json!(["created_at", ">", "2026-11-22T04:31:33.123466Z"]), &["c2", "c3"]),
        (json!(["trash_at", "=", null]), &["c1", "c2", "c3"]),
        (json!(["is_trashed", "=", false]), &["c1", "c2", "c3"]),
        (json!(["is_trashed", "=", true]), &[]),
        (json!(["preserve_version", "=", false]), &["c1", "c2", "c3"]),
        (json!(["properties.type", "=", "log"]), &["c1"]),
        (json!(["properties.type", "in", ["log", "data"]]), &["c1", "c2"]),
        (json!(["properties.n", "=", 5]), &["c1"]),
        (json!(["properties.$x", "=", "y"]), &["c2"]),
        (json!(["properties", "exists", "type"]), &["c1", "c2"]),
        (json!(["properties.type", "exists", false]), &["c3"]),
        (json!(["uuid", "is_a", "arvados#collection"]), &["c1", "c2", "c3"]),
        (json!(["uuid", "is_a", ["arvados#group"]]), &[]),
        (json!(["any", "ilike", "%ALPHA%"]), &["c1"]),
        (json!(["any", "=", "c2"]), &["c2"]),
        (json!(["name", "=", "'; DROP TABLE collection; --"]), &[]),
    ] {
        assert_eq!(found(&catalogue, ALICE, &list(json!([filter]))).await, wanted, "{filter}");
    }
    let both = json!([["name", "ilike", "%a%"], ["file_size_total", ">", 10]]);
    assert_eq!(found(&catalogue, ALICE, &list(both)).await, ["c2"]);
}

pub(crate) async fn a_filter_that_makes_no_sense_is_refused(catalogue: Catalogue) {
    for filters in [json!({}), json!([1]), json!([["name", "="]]), json!("x"), json!([["name", "=", "\u{0}"]])] {
        assert!(Filter::parse_all(&filters).is_err(), "{filters}");
    }
    for filter in [
        json!(["nonesuch", "=", 1]),
        json!(["manifest_text", "like", "%"]),
        json!(["reference", "=", "x"]),
        json!(["name; DROP TABLE collection", "=", "x"]),
        json!(["name", "~", "x"]),
        json!(["name", "=", {}]),
        json!(["name", "in", "x"]),
        json!(["name", "like", "x\\"]),
        json!(["created_at", "<", "yesterday"]),
        json!(["file_count", "like", "1%"]),
        json!(["properties", "=", {}]),
    ] {
        let page = catalogue.list::<Collection>(&viewer(ALICE), &list(json!([filter])), NOW).await;
        assert!(matches!(page, Err(ListError::Invalid(_))), "{filter}");
    }
    for order in ["nonesuch", "manifest_text", "properties"] {
        let asked = List { order: vec![Order::parse(order).unwrap()], ..list(json!([])) };
        assert!(catalogue.list::<Collection>(&viewer(ALICE), &asked, NOW).await.is_err(), "{order}");
    }
    for order in ["", "name up", "name asc uuid"] {
        assert!(Order::parse(order).is_err(), "{order}");
    }
}

pub(crate) async fn pages_follow_each_other_in_order(catalogue: Catalogue) {
    for number in 0..7 {
        let mut one = collection(&format!("c{number}"), ALICE, &format!("{}", 9 - number / 2));
        one.base.owner = format!("{ALICE}{number}");
        one.base.created_at = NOW + number / 2;
        one.base.trash_at = (number == 3).then_some(NOW + 10);
        catalogue.add(&one).await.unwrap();
    }
    let admin = Viewer { user: ALICE.to_owned(), admin: true };
    let pages = async |order: &[&str]| {
        let mut all = Vec::new();
        loop {
            let order = order.iter().map(|text| Order::parse(text).unwrap()).collect();
            let asked = List { order, limit: 3, offset: all.len() as i64, count: true, ..List::default() };
            let page: Page<Collection> = catalogue.list(&admin, &asked, NOW).await.unwrap();
            assert_eq!(page.available, Some(7));
            if page.items.is_empty() {
                return all.join(" ");
            }
            all.extend(page.items.into_iter().map(|one| one.base.uuid));
        }
    };
    assert_eq!(pages(&[]).await, "c6 c5 c4 c3 c2 c1 c0");
    assert_eq!(pages(&["created_at asc"]).await, "c0 c1 c2 c3 c4 c5 c6");
    assert_eq!(pages(&["name"]).await, "c6 c4 c5 c2 c3 c0 c1");
    assert_eq!(pages(&["collections.name asc", "uuid desc"]).await, "c6 c5 c4 c3 c2 c1 c0");
    assert_eq!(pages(&["trash_at desc", "uuid asc"]).await, "c3 c0 c1 c2 c4 c5 c6");
}

pub(crate) async fn nobody_sees_what_is_not_theirs_or_shared(catalogue: Catalogue) {
    catalogue.add(&collection("c1", ALICE, "private")).await.unwrap();
    catalogue.add(&collection("c2", ALICE, "for bob")).await.unwrap();
    catalogue.add(&collection("c3", ALICE, "for all")).await.unwrap();
    catalogue.add(&permission("l2", BOB, "can_write", "c2")).await.unwrap();
    catalogue.add(&permission("l3", EVERYBODY, "can_read", "c3")).await.unwrap();
    let everything = list(json!([]));
    assert_eq!(found(&catalogue, ALICE, &everything).await, ["c1", "c2", "c3"]);
    assert_eq!(found(&catalogue, BOB, &everything).await, ["c2", "c3"]);
    let page: Page<Collection> =
        catalogue.list(&Viewer { user: BOB.to_owned(), admin: true }, &everything, NOW).await.unwrap();
    assert_eq!(page.items.len(), 3);
    for (user, uuid, level) in
        [(ALICE, "c1", Level::Manage), (BOB, "c1", Level::None), (BOB, "c2", Level::Write), (BOB, "c3", Level::Read)]
    {
        let access = catalogue.access(&viewer(user), uuid, ALICE, NOW).await.unwrap();
        assert_eq!(access, Access { level, hidden: false }, "{user} {uuid}");
    }
    let links: Page<Link> = catalogue.list(&viewer(BOB), &everything, NOW).await.unwrap();
    assert_eq!(links.items.iter().map(|link| link.base.uuid.as_str()).collect::<Vec<_>>(), ["l2"]);
}

pub(crate) async fn a_right_to_a_project_reaches_all_that_is_in_it(catalogue: Catalogue) {
    catalogue.add(&project("p1", ALICE)).await.unwrap();
    catalogue.add(&project("p2", "p1")).await.unwrap();
    catalogue.add(&project("p3", "p2")).await.unwrap();
    catalogue.add(&collection("c1", ALICE, "beside")).await.unwrap();
    catalogue.add(&collection("c3", "p3", "deep")).await.unwrap();
    catalogue.add(&permission("l1", BOB, "can_read", "p1")).await.unwrap();
    catalogue.add(&permission("l2", BOB, "can_manage", "p3")).await.unwrap();
    let everything = list(json!([]));
    assert_eq!(found(&catalogue, BOB, &everything).await, ["c3"]);
    assert_eq!(found(&catalogue, ALICE, &everything).await, ["c1", "c3"]);
    let projects: Page<Project> = catalogue.list(&viewer(BOB), &everything, NOW).await.unwrap();
    assert_eq!(projects.available, Some(3));
    let level = async |uuid: &str, owner: &str| catalogue.access(&viewer(BOB), uuid, owner, NOW).await.unwrap().level;
    assert_eq!(level("p2", "p1").await, Level::Read);
    assert_eq!(level("c3", "p3").await, Level::Manage);
    assert_eq!(level("c1", ALICE).await, Level::None);
    assert!(catalogue.is_within("p3", "p1").await.unwrap());
    assert!(catalogue.is_within("p1", "p1").await.unwrap());
    assert!(!catalogue.is_within("p1", "p3").await.unwrap());
    // Two projects inside each other are no reason to look for ever.
    let mut first = project("p1", "p3");
    first.base.modified_at = NOW + 1;
    catalogue.change(&first, NOW).await.unwrap();
    assert_eq!(level("c3", "p3").await, Level::Manage);
    assert_eq!(found(&catalogue, BOB, &everything).await, ["c3"]);
}

pub(crate) async fn what_is_in_a_trashed_project_is_hidden(catalogue: Catalogue) {
    let mut top = project("p1", ALICE);
    top.base.trash_at = Some(NOW);
    catalogue.add(&top).await.unwrap();
    catalogue.add(&project("p2", "p1")).await.unwrap();
    catalogue.add(&collection("c1", "p2", "inside")).await.unwrap();
    catalogue.add(&collection("c2", ALICE, "outside")).await.unwrap();
    let everything = list(json!([]));
    assert_eq!(found(&catalogue, ALICE, &everything).await, ["c2"]);
    assert_eq!(found(&catalogue, ALICE, &List { include_trash: true, ..everything }).await, ["c1", "c2"]);
    let access = catalogue.access(&viewer(ALICE), "c1", "p2", NOW).await.unwrap();
    assert_eq!(access, Access { level: Level::Manage, hidden: true });
    let earlier = catalogue.access(&viewer(ALICE), "c1", "p2", NOW - 1).await.unwrap();
    assert!(!earlier.hidden);
}

pub(crate) async fn what_expired_is_gone_and_found_for_removal(catalogue: Catalogue) {
    for (uuid, trash, delete) in [("c1", NOW - 2, NOW - 1), ("c2", NOW - 2, NOW + 1), ("c3", NOW + 1, NOW + 2)] {
        let mut one = collection(uuid, ALICE, uuid);
        (one.base.trash_at, one.base.delete_at) = (Some(trash), Some(delete));
        catalogue.add(&one).await.unwrap();
    }
    assert_eq!(found(&catalogue, ALICE, &list(json!([]))).await, ["c3"]);
    let trash = List { include_trash: true, ..list(json!([])) };
    assert_eq!(found(&catalogue, ALICE, &trash).await, ["c2", "c3"]);
    let trashed = List { include_trash: true, ..list(json!([["is_trashed", "=", true]])) };
    assert_eq!(found(&catalogue, ALICE, &trashed).await, ["c2"]);
    let expired = catalogue.expired(NOW, 10).await.unwrap();
    assert_eq!(expired.iter().map(|one| one.base.uuid.as_str()).collect::<Vec<_>>(), ["c1"]);
    assert!(expired[0].base.is_gone(NOW) && expired[0].base.is_trashed(NOW));
    assert!(expired[0].base().is_gone(NOW));
}

pub(crate) async fn many_writers_at_once_make_one_name(catalogue: Catalogue) {
    let tasks = (0..16).map(|number| {
        let catalogue = catalogue.clone();
        tokio::spawn(async move { catalogue.add(&collection(&format!("c{number}"), ALICE, "same")).await })
    });
    let mut added = 0;
    for task in tasks.collect::<Vec<_>>() {
        match task.await.unwrap() {
            Ok(()) => added += 1,
            Err(DatabaseError::Duplicate) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(added, 1);
    assert_eq!(found(&catalogue, ALICE, &list(json!([]))).await.len(), 1);
}
