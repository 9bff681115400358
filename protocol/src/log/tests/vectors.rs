//! What git-annex 10.20261026 was seen to read from each log.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::log::{
    ChunkCount, ClusterNodes, ConfigValue, ContentIdentifiers, Copies, Description, Differences, Downloader,
    ExportedTree, FieldLog, GroupPreferred, Groups, LocationLog, LogField, LogKind, MaxSize, MetadataLog, Preferred,
    PresenceLine, PresenceLog, ProxiedRemotes, Record, RemoteConfig, RemoteState, SingleLog, Status, Transition,
    TransitionLog, Trust, branch_path, journal_name, journal_round_trips, recorded_urls,
};

const LOG_LINES: &str = include_str!("../../../tests/vectors/log-lines.json");
const JOURNAL_NAMES: &str = include_str!("../../../tests/vectors/journal-names.json");

fn text(bytes: &[u8]) -> Value {
    Value::from(String::from_utf8(bytes.to_vec()).unwrap())
}

fn texts<'a>(list: impl IntoIterator<Item = &'a [u8]>) -> Value {
    Value::Array(list.into_iter().map(text).collect())
}

/// Shows a whole log as the vectors do, each value by `show`.
fn shown<R: Record>(content: &[u8], show: impl Fn(&R) -> Value) -> Value {
    let log = FieldLog::<R>::parse(content);
    assert_eq!(FieldLog::<R>::parse(&log.write()).write(), log.write());
    let show = |(field, value): (&R::Field, &R)| (String::from_utf8(field.write()).unwrap(), show(value));
    Value::Object(log.iter().map(show).collect())
}

fn by_field<'a>(pairs: impl IntoIterator<Item = (&'a [u8], Value)>) -> Value {
    let pairs = pairs.into_iter().map(|(field, value)| (String::from_utf8(field.to_vec()).unwrap(), value));
    Value::Object(pairs.collect::<Map<_, _>>())
}

fn check_location(content: &[u8], meaning: &Value) {
    // The vectors count cluster UUIDs as listed, as `whereis` does; `LocationLog` leaves them out.
    let listed = PresenceLog::parse(content);
    for (name, status) in [("present", Status::Present), ("missing", Status::Missing), ("dead", Status::Dead)] {
        let mut expected: Vec<_> =
            meaning[name].as_array().into_iter().flatten().map(|v| v.as_str().unwrap()).collect();
        expected.sort_unstable();
        let infos: Vec<_> = listed.lines().iter().filter(|line| line.status == status).map(|line| line.info).collect();
        assert_eq!(texts(infos), json!(expected), "{name}");
    }
    for skipped in meaning["skipped_lines"].as_array().into_iter().flatten() {
        assert_eq!(PresenceLine::parse(skipped.as_str().unwrap().as_bytes()), None);
    }
    let log = LocationLog::parse(content);
    assert_eq!(log.key_is_dead(), meaning["key_is_dead"] == true);
    if let Some(count) = meaning["copies_counted"].as_u64() {
        assert_eq!(log.present().count() as u64, count);
    }
}

fn chunks(content: &[u8]) -> Value {
    let mut sizes: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for (field, count) in FieldLog::<ChunkCount>::parse(content).iter().filter(|(_, count)| count.0 > 0) {
        sizes.entry(field.uuid.to_string()).or_default().insert(field.size.to_string(), json!(count.0));
    }
    json!(sizes)
}

fn urls(content: &[u8]) -> Value {
    let urls = recorded_urls(content);
    let of = |kind| texts(urls.iter().filter(|(downloader, _)| *downloader == kind).map(|(_, url)| *url));
    json!({ "web": of(Downloader::Web), "other": of(Downloader::Other) })
}

fn export(content: &[u8]) -> Value {
    let log = FieldLog::<ExportedTree>::parse(content);
    let (field, exported) = log.iter().next().unwrap();
    let incomplete = texts(exported.incomplete.iter().map(Vec::as_slice));
    json!({
        "from": field.from.to_string(), "to": field.to.to_string(), "tree": text(&exported.tree), "incomplete": incomplete,
    })
}

fn trust_name(trust: &Trust) -> Value {
    json!(match trust {
        Trust::Dead => "dead",
        Trust::Untrusted => "untrusted",
        Trust::Semitrusted => "semitrusted",
        Trust::Trusted => "trusted",
    })
}

fn transitions(content: &[u8]) -> Value {
    let log = TransitionLog::parse(content);
    assert!(!log.has_unknown());
    let name = |transition: &Transition| match transition {
        Transition::ForgetGitHistory => "ForgetGitHistory",
        Transition::ForgetDeadRemotes => "ForgetDeadRemotes",
        Transition::Unknown(_) => "unknown",
    };
    json!(log.0.iter().map(|(transition, _)| name(transition)).collect::<Vec<_>>())
}

fn metadata(content: &[u8]) -> Value {
    let metadata = MetadataLog::parse(content).current();
    by_field(metadata.0.iter().map(|(field, values)| (field.as_slice(), texts(values.iter().map(Vec::as_slice)))))
}

fn proxied(remotes: &ProxiedRemotes) -> Value {
    by_field(remotes.0.iter().map(|proxied| (proxied.uuid.as_bytes(), text(&proxied.name))))
}

fn settings(config: &RemoteConfig) -> Value {
    by_field(config.0.iter().map(|(name, value)| (name.as_slice(), text(value))))
}

/// The lists of a log whose values are sets.
fn sorted(log: &Value) -> BTreeMap<String, Vec<String>> {
    let mut log: BTreeMap<String, Vec<String>> = serde_json::from_value(log.clone()).unwrap();
    log.values_mut().for_each(|names| names.sort());
    log
}

#[test]
fn logs_mean_what_git_annex_reads() {
    let vectors: Value = serde_json::from_str(LOG_LINES).unwrap();
    for vector in vectors["logs"].as_array().unwrap() {
        let content = vector["content"].as_str().unwrap().as_bytes();
        let path = vector["path"].as_str().unwrap().as_bytes();
        let meaning = match LogKind::of(path) {
            LogKind::Location(_) => {
                check_location(content, &vector["meaning"]);
                continue;
            }
            LogKind::Uuid => shown(content, |value: &Description| text(&value.0)),
            LogKind::Trust => shown(content, trust_name),
            LogKind::Group => shown(content, |value: &Groups| texts(value.0.iter().map(Vec::as_slice))),
            LogKind::PreferredContent | LogKind::Activity => shown(content, |value: &Preferred| text(&value.0)),
            LogKind::GroupPreferredContent => shown(content, |value: &GroupPreferred| text(&value.0)),
            LogKind::Numcopies => json!({ "numcopies": SingleLog::parse(content).value().map(Copies::get) }),
            LogKind::MaxSize => shown(content, |value: &MaxSize| json!(value.0)),
            LogKind::Cluster => {
                shown(content, |value: &ClusterNodes| texts(value.0.iter().map(crate::uuid::Uuid::as_bytes)))
            }
            LogKind::Proxy => shown(content, proxied),
            LogKind::Remote => shown(content, settings),
            LogKind::RemoteState(_) => shown(content, |value: &RemoteState| text(&value.0)),
            LogKind::Metadata(_) => metadata(content),
            LogKind::Chunk(_) => chunks(content),
            LogKind::Web(_) => urls(content),
            LogKind::ContentIdentifier(_) => {
                shown(content, |value: &ContentIdentifiers| texts(value.0.iter().map(Vec::as_slice)))
            }
            LogKind::Export => export(content),
            LogKind::Difference => {
                let names = |value: &Differences| texts(value.0.iter().map(Vec::as_slice));
                assert_eq!(sorted(&shown(content, names)), sorted(&vector["meaning"]));
                continue;
            }
            LogKind::Transitions => transitions(content),
            LogKind::Config => shown(content, |value: &ConfigValue| text(&value.0)),
            other => panic!("no reader for {other:?}"),
        };
        assert_eq!(meaning, vector["meaning"], "{}", vector["content"]);
    }
}

#[test]
fn journal_names_are_those_of_git_annex() {
    let vectors: Value = serde_json::from_str(JOURNAL_NAMES).unwrap();
    for vector in vectors["files"].as_array().unwrap() {
        let path = vector["branch_path"].as_str().unwrap().as_bytes();
        let name = vector["journal_name"].as_str().unwrap().as_bytes();
        assert_eq!(journal_name(path), name);
        assert_eq!(branch_path(name), path);
        assert!(journal_round_trips(path));
    }
    assert!(!journal_round_trips(b"abc/def/_X--a.log"));
}

#[test]
fn paths_have_their_meaning() {
    let key = |kind: LogKind| kind.key().map(ToString::to_string);
    assert_eq!(
        key(LogKind::of(b"778/80f/URL-s3--http&c%%x%a&sb&ac&cd.log")).as_deref(),
        Some("URL-s3--http://x/a%b&c:d")
    );
    assert!(matches!(LogKind::of(b"abc/def/SHA256--x.log.rmet"), LogKind::RemoteMetadata(_)));
    assert!(matches!(LogKind::of(b"abc/def/SHA256--x.log"), LogKind::Location(_)));
    for path in [
        &b"abc/SHA256--x.log"[..],
        b"SHA256--x.log",
        b"a/b/c/SHA256--x.log",
        b"abc/def/SHA256--x.log.new",
        b"abc/def/x.log",
        b"x/y/uuid.log",
        b"remote/web/abc/def/SHA256--x.log",
        b"export.tree/a",
        b"",
    ] {
        assert_eq!(LogKind::of(path), LogKind::Other);
    }
    assert_eq!(LogKind::of(b"mincopies.log"), LogKind::Mincopies);
}
