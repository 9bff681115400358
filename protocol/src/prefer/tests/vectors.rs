//! What git-annex 10.20261026 was seen to want.

use std::collections::BTreeSet;

use serde_json::Value;

use super::support::{Known, Tree, copies, key, strings, trust, uuid};
use crate::log::{ClusterNodes, FieldLog};
use crate::prefer::{Expression, Placement, Question, Warning, lint};
use crate::uuid::Uuid;

const PREFERRED: &str = include_str!("../../../tests/vectors/preferred-content.json");
const MORE: &str = include_str!("../../../tests/vectors/preferred-content-more.json");
const KEY_ONLY: &str = include_str!("../../../tests/vectors/preferred-content-key-only.json");

fn tree(setup: &Value) -> Tree {
    let mut placement = Placement { numcopies: copies(&setup["numcopies"]), ..Placement::default() };
    for (repository, groups) in setup["groups"].as_object().unwrap() {
        let groups = strings(groups).into_iter().map(String::into_bytes).collect();
        placement.groups.insert(uuid(repository), groups);
    }
    for (repository, level) in setup["trust"].as_object().unwrap() {
        placement.trust.insert(uuid(repository), trust(level));
    }
    for (group, text) in setup["groupwanted"].as_object().unwrap() {
        let expression = Expression::parse(text.as_str().unwrap().as_bytes());
        placement.group_preferred.insert(group.clone().into_bytes(), expression);
    }
    let clusters = setup["cluster"].as_object().unwrap().iter();
    let clusters: String =
        clusters.map(|(cluster, nodes)| format!("1s {cluster} {}\n", strings(nodes).join(" "))).collect();
    let clusters = FieldLog::<ClusterNodes>::parse(clusters.as_bytes());
    let mut tree = Tree { repository: uuid(setup["repo_uuid"].as_str().unwrap()), placement, files: [].into() };
    for (file, text) in setup["files"].as_object().unwrap() {
        let text = text.as_str().unwrap();
        let locations = strings(&setup["locations"][text]).iter().map(|text| uuid(text)).collect();
        let mut facts = Known { locations, ..Known::default() };
        clusters.add_clusters(&mut facts.locations);
        for (field, values) in setup["metadata"][file].as_object().into_iter().flatten() {
            let values = strings(values).into_iter().filter(|value| !value.starts_with("(unset)"));
            facts.metadata.0.insert(field.clone().into_bytes(), values.map(String::into_bytes).collect());
        }
        let urls = strings(&setup["urls"][file]).into_iter();
        facts.urls = urls.map(|url| url.trim_end_matches(" (other downloader)").as_bytes().to_vec()).collect();
        tree.files.insert(file.clone(), (key(text), facts));
    }
    tree
}

#[test]
fn wanted_as_by_git_annex() {
    let vectors: Value = serde_json::from_str(PREFERRED).unwrap();
    let mut tree = tree(&vectors["setup"]);
    for vector in vectors["evaluations"].as_array().unwrap() {
        let text = vector["expr"].as_str().unwrap();
        tree.prefer(text, None);
        assert_eq!(tree.want_get(), strings(&vector["want_get"]), "get {text}");
        assert_eq!(tree.want_drop(), strings(&vector["want_drop"]), "drop {text}");
    }
    for vector in vectors["required_combinations"].as_array().unwrap() {
        tree.prefer(vector["preferred"].as_str().unwrap(), vector["required"].as_str());
        assert_eq!(tree.want_get(), strings(&vector["want_get"]), "get {vector}");
        assert_eq!(tree.want_drop(), strings(&vector["want_drop"]), "drop {vector}");
    }
    // These were recorded while no other repository was in a group: real git-annex, asked again, wants `n` as `archive`
    // only then.
    tree.placement.groups.clear();
    for vector in vectors["group_cases"].as_array().unwrap() {
        tree.prefer(vector["expr"].as_str().unwrap(), None);
        let groups: BTreeSet<Vec<u8>> =
            vector["groups"].as_str().unwrap().split_whitespace().map(|group| group.as_bytes().to_vec()).collect();
        tree.placement.groups.insert(tree.repository.clone(), groups);
        assert_eq!(tree.want_get(), strings(&vector["want_get"]), "{vector}");
    }
}

/// Malformed structure, globs, metadata and sizes: 329 expressions recorded for this project.
#[test]
fn oddities_of_git_annex() {
    let vectors: Value = serde_json::from_str(MORE).unwrap();
    let repository = uuid(vectors["repo_uuid"].as_str().unwrap());
    let mut tree = Tree { repository, placement: Placement::default(), files: [].into() };
    for (file, text) in vectors["keys"].as_object().unwrap() {
        let mut facts = Known::default();
        for (field, values) in vectors["metadata"][file].as_object().into_iter().flatten() {
            let values = strings(values).into_iter().map(String::into_bytes).collect();
            facts.metadata.0.insert(field.clone().into_bytes(), values);
        }
        tree.files.insert(file.clone(), (key(text.as_str().unwrap()), facts));
    }
    let mut wrong = Vec::new();
    for vector in vectors["evaluations"].as_array().unwrap() {
        let text = vector["expr"].as_str().unwrap();
        tree.prefer(text, None);
        if tree.want_get() != strings(&vector["want_get"]) || tree.want_drop() != strings(&vector["want_drop"]) {
            wrong.push(format!("{text}: {:?}, {:?}", tree.want_get(), tree.want_drop()));
        }
    }
    assert!(wrong.is_empty(), "{} wrong: {wrong:#?}", wrong.len());
}

#[test]
fn keys_without_a_file_name() {
    let vectors: Value = serde_json::from_str(KEY_ONLY).unwrap();
    let (here, elsewhere) = (uuid("here"), uuid("elsewhere"));
    for vector in vectors["cases"].as_array().unwrap() {
        let text = vector["expr"].as_str().unwrap();
        let mut placement = Placement::default();
        // `standard` and `fullybalanced=g` were recorded with the repository in one of these groups.
        let group = if text == "standard" { "client" } else { "g" };
        placement.groups.insert(here.clone(), [group.as_bytes().to_vec()].into());
        placement.preferred.insert(here.clone(), Expression::parse(text.as_bytes()));
        let facts = Known { locations: [elsewhere.clone()].into(), ..Known::default() };
        let keys = ["SHA256-s2--a", "SHA256-s3--b"].map(key);
        let wanted = keys.iter().filter(|key| {
            let question = Question { repository: &here, key, file: Some(b""), facts: &facts };
            placement.wants(&question) == Some(true)
        });
        assert_eq!(wanted.count() as u64, vector["wanted_keys"].as_u64().unwrap(), "{text}");
    }
}

#[test]
fn required_content_blocks_dropping() {
    let (here, key) = (uuid("here"), key("SHA256-s2--a"));
    let requires = |text: &str, locations: &[Uuid]| {
        let required = [(here.clone(), Expression::parse(text.as_bytes()))].into();
        let placement = Placement { required, ..Placement::default() };
        let facts = Known { locations: locations.iter().cloned().collect(), ..Known::default() };
        placement.requires(&Question { repository: &here, key: &key, file: Some(b"./a.txt"), facts: &facts })
    };
    assert!(requires("include=a.txt", &[]));
    assert!(!requires("include=*.mp3", &[]));
    assert!(!requires("()", &[]));
    assert!(!requires("not present", &[]));
    assert!(requires("bogus", std::slice::from_ref(&here)) && !requires("bogus", &[]));
    // The copy that is to be dropped does not count.
    assert!(!requires("copies=1", std::slice::from_ref(&here)));
    assert!(requires("copies=1", &[here.clone(), uuid("elsewhere")]));
}

#[test]
fn lint_finds_what_surprises() {
    let lint = |text: &str| lint(&Expression::parse(text.as_bytes()));
    assert_eq!(lint("include=*.mp3 or (include=*.txt and not copies=1)"), []);
    assert_eq!(lint("include=*.mp3 or include=*.txt and copies=1"), [Warning::NoPrecedence]);
    assert_eq!(lint("not (copies=1 or present)"), [Warning::UnstableNegation(b"present".to_vec())]);
    assert_eq!(lint("not not present and not fullybalanced=g"), []);
    assert_eq!(lint("copies=1 or"), [Warning::MissingElement]);
    assert!(matches!(lint("copies=1 or bogus").as_slice(), [Warning::Unreadable(_)]));
}
