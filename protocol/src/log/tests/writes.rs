//! What is written, compared with files that git-annex 10.20261026 wrote.

use crate::log::{
    ChunkCount, ChunkField, Clock, ClusterNodes, Copies, Description, Differences, FieldLog, Groups, LocationLog,
    MaxSize, MetadataLog, Proxied, ProxiedRemotes, Record, RemoteConfig, SingleLog, Status, TransitionLog, Trust,
    Union, mark_key_dead, record_locations, union, without_clusters,
};
use crate::uuid::Uuid;

fn uuid(text: &str) -> Uuid {
    Uuid::parse(text.as_bytes()).unwrap()
}

fn at(seconds: u64) -> Clock {
    Clock::from_seconds(seconds)
}

fn string(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// Recorded with `git annex setpresentkey`; git-annex loses `junk` and kept the cluster's line, we do neither.
#[test]
fn location_log_is_compacted_and_sorted() {
    let old = b"+5s 1 p-plus\njunk\n-0.5s 1 p-neghalf\r\n5.1234567890123456s 1 p-long\n007.50 1 p-lead\n\
        -0.5s 0 p-t\n0s 1 p-t\n8s 1 ac3309e7-a6e0-8588-ae58-de093b669aa4\n";
    let new = record_locations(old, [(&uuid("11111111"), Status::Present)], at(1_795_298_835)).unwrap();
    let expected = "1795298835s 1 11111111\n7.5s 1 p-lead\n5.123456789012s 1 p-long\n0.5s 1 p-neghalf\n5s 1 p-plus\n\
        0.5s 0 p-t\njunk\n";
    assert_eq!(string(new), expected);
}

#[test]
fn location_that_is_recorded_already_is_not_written() {
    let old = b"5s 1 a\n6s 0 b\n";
    let (a, b) = (uuid("a"), uuid("b"));
    assert_eq!(record_locations(old, [(&a, Status::Present), (&b, Status::Missing)], at(9)), None);
    let changed = record_locations(old, [(&a, Status::Present), (&b, Status::Present)], at(3)).unwrap();
    assert_eq!(string(changed), "5s 1 a\n7s 1 b\n");
    let log = LocationLog::parse(old);
    assert_eq!(
        (log.status(&a), log.status(&b), log.status(&uuid("c"))),
        (Some(Status::Present), Some(Status::Missing), None)
    );
}

#[test]
fn cluster_uuid_is_never_recorded() {
    let cluster = uuid("ac3309e7-a6e0-8588-ae58-de093b669aa4");
    assert_eq!(record_locations(b"", [(&cluster, Status::Present)], at(1)), None);
    let old = b"1s 1 ac3309e7-a6e0-8588-ae58-de093b669aa4\r\n2s 1 a\nac3309e7 junk\n";
    assert_eq!(&*without_clusters(old), b"2s 1 a\nac3309e7 junk\n");
    assert!(!LocationLog::parse(old).is_present(&cluster));
    assert!(matches!(without_clusters(b"2s 1 a\n"), std::borrow::Cow::Borrowed(_)));
}

#[test]
fn dead_key_can_come_back() {
    let dead = mark_key_dead(b"1795294940s 0 a\n").unwrap();
    assert_eq!(dead, b"1795294940.000000000001s X a\n");
    assert!(LocationLog::parse(&dead).key_is_dead());
    assert_eq!(mark_key_dead(&dead), None);
    assert_eq!(mark_key_dead(b"5s 0 a\n5s 1 b\n"), None);
    let alive = record_locations(&dead, [(&uuid("a"), Status::Present)], at(1)).unwrap();
    assert_eq!(string(alive), "1795294941.000000000001s 1 a\n");
}

#[test]
fn uuid_log_keeps_what_it_does_not_touch() {
    let old = b"u1 desc timestamp=junk\nu2 timestamp=5s\nu3\nu4  two timestamp=5s\nu5 x timestamp=5\n\
        u6 trail  timestamp=5s\nu7 tail timestamp=5s \nu9 timestamp=1s timestamp=2s\n";
    let expected = "here new desc\\nof two lines timestamp=7s\nu1 desc timestamp=junk\nu2  timestamp=5s\nu3 \n\
        u4  two timestamp=5s\nu5 x timestamp=5s\nu6 trail  timestamp=5s\nu7 tail timestamp=5s \n\
        u9 timestamp=1s timestamp=2s\n";
    let mut log = FieldLog::<Description>::parse(old);
    assert!(log.set(uuid("here"), Description(b"new desc\nof two lines".to_vec()), at(7)));
    assert_eq!(string(log.write()), expected);
    assert!(!log.set(uuid("u5"), Description(b"x".to_vec()), at(7)));
    assert!(log.set(uuid("u5"), Description(b"y".to_vec()), at(3)));
    assert_eq!(log.clock(&uuid("u5")), Some(at(6)));
}

#[test]
fn trust_maxsize_and_group_logs_as_git_annex_reads_them() {
    let trust =
        FieldLog::<Trust>::parse(b"u1 11 timestamp=1s\nu2  timestamp=1s\nu3 timestamp=1s\nu4\nu5 ? timestamp=2s\n");
    let levels: Vec<_> = ["u1", "u2", "u3", "u4", "u5"].map(|u| trust.value(&uuid(u)).copied()).to_vec();
    assert_eq!(levels[0], None);
    assert!(levels[1..4].iter().all(|level| *level == Some(Trust::Trusted)));
    assert_eq!(levels[4], Some(Trust::Semitrusted));

    let sizes = b"5s u1 junk\n4s u1 10\n6s u2 1kb\n6s u3 -5\n6s u4 +5\n6s u5 5 \n7s u6 007\n";
    let sizes = FieldLog::<MaxSize>::parse(sizes);
    let sizes: Vec<_> = sizes.iter().map(|(uuid, size)| (uuid.to_string(), size.0)).collect();
    let expected = [("u1", 10), ("u2", 1), ("u3", 0), ("u5", 5), ("u6", 7)];
    assert_eq!(sizes, expected.map(|(uuid, size)| (uuid.to_owned(), size)));

    let mut groups = FieldLog::<Groups>::parse(b"u1 b  a b timestamp=1s\n");
    groups.set(uuid("u2"), Groups::default(), at(2));
    groups.set(uuid("u3"), Groups([b"z".to_vec(), b"y".to_vec()].into()), at(2));
    assert_eq!(string(groups.write()), "u1 b  a b timestamp=1s\nu2  timestamp=2s\nu3 y z timestamp=2s\n");
}

#[test]
fn numcopies_is_at_least_one_and_the_greatest_wins_a_tie() {
    let mut log = SingleLog::parse(b"5s junk\n4s 3\n5s 0\n5s -2\n");
    assert_eq!(log.value(), Some(Copies::new(1)));
    assert_eq!(SingleLog::parse(b"5s 2\n5s 3\n5s 1\n").value(), Some(Copies::new(3)));
    assert!(log.set(Copies::new(4), at(5)));
    assert!(!log.set(Copies::new(4), at(9)));
    assert_eq!(string(log.write()), "6s 4\n5s junk\n");
}

/// As `git annex renameremote` rewrote the same line.
#[test]
fn remote_log_escapes() {
    let old = b"u1 a=b&38;c  c=&10;x d e= =f g=&9999;y h=&;z name=foo type=directory i=a=b timestamp=5s\n";
    let mut log = FieldLog::<RemoteConfig>::parse(old);
    let mut config = log.value(&uuid("u1")).unwrap().clone();
    assert_eq!(config.setting(b"c"), Some(&b"\nx"[..]));
    config.0.insert(b"name".to_vec(), b"bar".to_vec());
    assert_eq!(config.name(), Some(&b"bar"[..]));
    log.set(uuid("u1"), config, at(1_795_298_836));
    let expected = "u1 =f a=b&38;c c=&10;x d= e= g=✏y h=&38;;z i=a=b name=bar type=directory timestamp=1795298836s\n";
    assert_eq!(string(log.write()), expected);
    let sameas = RemoteConfig::parse(b"sameas-name=n sameas-uuid=u9").unwrap();
    assert_eq!((sameas.name(), sameas.sameas()), (Some(&b"n"[..]), Some(uuid("u9"))));
}

#[test]
fn proxied_names_are_remote_names() {
    let old = b"5s g1\n5s g2 \n5s g3 u1:a  u2:b/c u3:d u4:-x u6 u7:\n";
    let mut log = FieldLog::<ProxiedRemotes>::parse(old);
    let names = |remotes: &ProxiedRemotes| remotes.0.iter().map(|p| string(p.name.clone())).collect::<Vec<_>>();
    assert_eq!(names(log.value(&uuid("g3")).unwrap()), ["a", "d"]);
    assert_eq!(log.value(&uuid("g2")).unwrap().0.len(), 0);
    let nodes =
        [Proxied::new(uuid("u9"), b"n9"), Proxied::new(uuid("u8"), b"n8")].into_iter().map(Option::unwrap).collect();
    assert!(log.set(uuid("g2"), ProxiedRemotes(nodes), at(1)));
    // What other programs wrote for other repositories stays as it is.
    let expected = "6s g2 u8:n8 u9:n9\n5s g3 u1:a  u2:b/c u3:d u4:-x u6 u7:\n5s g1\n";
    assert_eq!(string(log.write()), expected);
}

#[test]
fn clusters_of_clusters_are_added() {
    let (inner, outer) = ("ac000000-0000-8000-0000-000000000001", "ac000000-0000-8000-0000-000000000002");
    let log =
        FieldLog::<ClusterNodes>::parse(format!("1s {outer} {inner}\n1s {inner} n1 n2\n1s plain n1\n").as_bytes());
    let mut locations = [uuid("n1")].into();
    log.add_clusters(&mut locations);
    assert_eq!(locations, [uuid("n1"), uuid(inner), uuid(outer)].into());
    let mut elsewhere = [uuid("n3")].into();
    log.add_clusters(&mut elsewhere);
    assert_eq!(elsewhere.len(), 1);
}

#[test]
fn chunk_log_is_by_size() {
    let mut log = FieldLog::<ChunkCount>::parse(b"5s u1:100 3\n5s u1:x 3\n7s a:b:7 2\n");
    let field = |uuid: &str, size| ChunkField { uuid: Uuid::parse(uuid.as_bytes()).unwrap(), size };
    assert_eq!(log.value(&field("a:b", 7)), Some(&ChunkCount(2)));
    log.set(field("u1", 100), ChunkCount(0), at(1));
    assert_eq!(string(log.write()), "7s a:b:7 2\n6s u1:100 0\n5s u1:x 3\n");
}

#[test]
fn metadata_keeps_every_line() {
    let old = b"5s Author +Joe +Sue tag +x\n9s b +!notbase64* c + d -\n7s author -Joe\n";
    let mut log = MetadataLog::parse(old);
    let values = |log: &MetadataLog, field: &[u8]| log.current().values(field).map(<[u8]>::to_vec).collect::<Vec<_>>();
    assert_eq!(values(&log, b"AUTHOR"), [b"Sue"]);
    assert_eq!(values(&log, b"b"), Vec::<Vec<u8>>::new());
    assert_eq!(values(&log, b"c"), [b""]);
    assert!(!log.change(b"author", &[b"Sue"], &[b"nobody"], at(1)));
    assert!(log.change(b"author", &[b"two words", b"!bang"], &[b"Sue"], at(1)));
    let expected = "5s Author +Joe +Sue tag +x\n7s author -Joe\n9s b +!notbase64* c + d -\n\
        10s author +!dHdvIHdvcmRz +!IWJhbmc= -Sue\n";
    assert_eq!(string(log.write()), expected);
    assert_eq!(values(&MetadataLog::parse(&log.write()), b"author"), [&b"!bang"[..], b"two words"]);
}

#[test]
fn tuning_and_unknown_transitions_are_noticed() {
    let log =
        FieldLog::<Differences>::parse(b"u fromList [] timestamp=1s\nv fromList [ObjectHashLower] timestamp=1s\n");
    assert_eq!(log.all(), [&b"ObjectHashLower"[..]].into());
    assert_eq!(FieldLog::<Differences>::parse(b"u Strange timestamp=1s\n").all().len(), 1);
    assert!(TransitionLog::parse(b"ForgetEverything 5s\n").has_unknown());
    assert!(TransitionLog::parse(b"ForgetGitHistory\n").has_unknown());
    assert!(!TransitionLog::parse(b"").has_unknown());
}

#[test]
fn union_reuses_a_version_that_has_all_lines() {
    assert_eq!(union(b"b\na\n", b"a\n"), Union::Ours);
    assert_eq!(union(b"a\n", b"b\na\n"), Union::Theirs);
    assert_eq!(union(b"b\n", b"a\nb\n\nc"), Union::New(b"a\nb\nc\n".to_vec()));
    // A line without its end cannot be appended to.
    assert_eq!(union(b"a", b"a"), Union::New(b"a\n".to_vec()));
    assert_eq!(union(b"", b""), Union::Ours);
}
