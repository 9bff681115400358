//! The choices of the balanced terms, compared with git-annex 10.20261026.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::support::{Known, key, strings, uuid};
use crate::log::{Copies, Trust};
use crate::prefer::balance::pick;
use crate::prefer::{Expression, Placement, Question};
use crate::uuid::Uuid;

const BALANCED: &str = include_str!("../../../tests/vectors/balanced.json");
const CASES: &str = include_str!("../../../tests/vectors/balanced-cases.json");
const LACKING: &str = include_str!("../../../tests/vectors/balanced-lackingcopies.json");

#[test]
fn picker_chooses_as_git_annex() {
    let vectors: Value = serde_json::from_str(BALANCED).unwrap();
    let vectors = &vectors["fullybalanced"];
    for vector in vectors["vectors"].as_array().unwrap() {
        let members: BTreeSet<Uuid> =
            strings(&vectors["groups"][vector["group"].as_str().unwrap()]).iter().map(|text| uuid(text)).collect();
        let candidates: Vec<&Uuid> = members.iter().collect();
        let key = vector["key"].as_str().unwrap().as_bytes();
        let picked = pick(&members, &candidates, key, vector["n"].as_i64().unwrap());
        let picked: Vec<String> = picked.into_iter().map(ToString::to_string).collect();
        // Recorded is what indexing gives, which starts over when there are too few.
        let order: Vec<String> = strings(&vector["picker_order"]).into_iter().take(members.len()).collect();
        assert_eq!(picked, order, "{vector}");
        let mut chosen = strings(&vector["chosen"]);
        chosen.sort();
        assert_eq!(picked.into_iter().collect::<BTreeSet<_>>(), chosen.into_iter().collect(), "{vector}");
    }
}

#[test]
fn picker_of_five_hundred() {
    let members: BTreeSet<Uuid> = (1..=500).map(|number| uuid(&number.to_string())).collect();
    let candidates: Vec<&Uuid> = members.iter().collect();
    let picked = |copies| pick(&members, &candidates, b"WORM--test", copies).into_iter().map(ToString::to_string);
    assert_eq!(picked(1).collect::<Vec<_>>(), ["332"]);
    assert_eq!(picked(3).collect::<BTreeSet<_>>(), ["332", "333", "334"].map(str::to_owned).into());
    assert_eq!(picked(i64::MAX).count(), 500);
    assert_eq!(picked(i64::MIN).count(), 0);
}

/// The limits and the like that a case was recorded with; its name tells them.
fn placement(case: &Value, members: &[Uuid]) -> Placement {
    let mut placement = Placement::default();
    let mut limit = |members: &[&Uuid], size| {
        placement.max_sizes.extend(members.iter().map(|member| ((*member).clone(), size)));
    };
    let all: Vec<&Uuid> = members.iter().collect();
    let name = case["case"].as_str().unwrap();
    let some: Vec<&Uuid> = [0, 3].into_iter().filter_map(|at| members.get(at)).collect();
    match name {
        "two members with maxsize 999 (keys are 1000 bytes)" => limit(&some, 999),
        "maxsize 1000: key exactly fits" => limit(&some, 1000),
        "maxsize 0" => limit(&some, 0),
        "all members too small: nobody wants it" => limit(&all, 999),
        "member holds all 8 keys and maxsize=8000: still a candidate for keys it has" => limit(&all[..1], 8000),
        "member holds all 8 keys and maxsize=7999" => limit(&all[..1], 7999),
        _ if name.contains("sizebalanced:") => limit(&all[..4], 10_000),
        _ => {}
    }
    for (member, size) in case["maxsizes"].as_object().into_iter().flatten() {
        placement.max_sizes.insert(uuid(member), size.as_u64().unwrap());
    }
    if name.starts_with("dead") {
        placement.trust.insert(members[0].clone(), Trust::Dead);
    }
    if name.contains("lackingcopies") {
        placement.numcopies = Copies::new(3);
    }
    placement.rebalance = strings(&case["options"]).contains(&"--rebalance".to_owned());
    let expression = Expression::parse(case["expr"].as_str().unwrap().as_bytes());
    for member in members {
        placement.groups.insert(member.clone(), [b"bk".to_vec()].into());
        placement.preferred.insert(member.clone(), expression.clone());
    }
    placement
}

#[test]
fn balanced_terms_choose_as_git_annex() {
    let vectors: Value = serde_json::from_str(CASES).unwrap();
    let members: Vec<Uuid> = strings(&vectors["members"]).iter().map(|text| uuid(text)).collect();
    for case in vectors["cases"].as_array().unwrap() {
        let placement = placement(case, &members);
        let locations = case["locations"].as_object().unwrap();
        let holds =
            |member: &Uuid| locations.values().filter(|list| strings(list).contains(&member.to_string())).count();
        let sizes = members.iter().map(|member| (member.clone(), 1000 * holds(member) as u64)).collect();
        let mut facts = Known { sizes, ..Known::default() };
        for (text, list) in locations {
            facts.locations = strings(list).iter().map(|text| uuid(text)).collect();
            // The repository that asked held every key, and is not listed; it matters only for numcopies.
            facts.locations.insert(uuid("here"));
            let wants = |member: &&Uuid| {
                let question = Question { repository: member, key: &key(text), file: None, facts: &facts };
                placement.wants(&question) == Some(true)
            };
            let wanted: Vec<String> = members.iter().filter(wants).map(ToString::to_string).collect();
            assert_eq!(wanted, strings(&case["wanted_by"][text]), "{} {} {text}", case["case"], case["expr"]);
        }
    }
}

/// `lackingcopies` in `fullybalanced` counts the copies outside of the group only; recorded for this project.
#[test]
fn lacking_copies_are_those_that_the_group_has_to_hold() {
    let vectors: Value = serde_json::from_str(LACKING).unwrap();
    let members: Vec<Uuid> = strings(&vectors["members"]).iter().map(|text| uuid(text)).collect();
    let key = key(vectors["key"].as_str().unwrap());
    for case in vectors["cases"].as_array().unwrap() {
        let mut placement = placement(&json!({ "case": "", "expr": case["expr"] }), &members);
        placement.numcopies = Copies::new(case["numcopies"].as_u64().unwrap());
        let locations = strings(&case["locations"]).iter().map(|text| uuid(text)).collect();
        let facts = Known { locations, ..Known::default() };
        let ask = |member| Question { repository: member, key: &key, file: Some(b"n"), facts: &facts };
        let names = |members: Vec<&Uuid>| members.into_iter().map(ToString::to_string).collect::<Vec<_>>();
        let wanted = names(members.iter().filter(|member| placement.wants(&ask(member)) == Some(true)).collect());
        let dropped =
            names(members.iter().filter(|member| placement.wants_to_keep(&ask(member)) == Some(false)).collect());
        assert_eq!(wanted, strings(&case["wanted_by"]), "{case}");
        assert_eq!(dropped, strings(&case["dropped_by"]), "{case}");
    }
}
