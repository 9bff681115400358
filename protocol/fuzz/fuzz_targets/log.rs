//! The files of the git-annex branch: reading, rewriting and merging never panic and lose nothing.
#![no_main]

use annex_protocol::log::{
    Clock, Description, FieldLog, GroupPreferred, LocationLog, LogKind, MetadataLog, PresenceLog, ProxiedRemotes,
    Record, RemoteConfig, SingleLog, Status, TransitionLog, branch_path, journal_name, journal_round_trips,
    record_locations, recorded_urls, union, without_clusters,
};
use annex_protocol::uuid::Uuid;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &[u8], u64)| {
    let (ours, theirs, now) = input;
    let now = Clock::from_seconds(now);

    let merge = |a: &[u8], b: &[u8]| union(a, b).content(a, b).to_vec();
    let merged = merge(ours, theirs);
    assert_eq!(merge(&merged, ours), merged);
    assert_eq!(merge(&merged, &merged), merged);

    rewrite::<Description>(&merged);
    rewrite::<GroupPreferred>(&merged);
    rewrite::<ProxiedRemotes>(&merged);
    rewrite::<RemoteConfig>(&merged);
    let written = SingleLog::parse(&merged).write();
    assert_eq!(SingleLog::parse(&written).write(), written);
    let written = MetadataLog::parse(&merged).write();
    assert_eq!(MetadataLog::parse(&written).current(), MetadataLog::parse(&merged).current());
    let written = PresenceLog::parse(&merged).write();
    assert_eq!(PresenceLog::parse(&written), PresenceLog::parse(&merged));
    TransitionLog::parse(&merged);
    recorded_urls(&merged);

    if let Some(uuid) = Uuid::parse(theirs).filter(|uuid| !uuid.is_cluster()) {
        let written = record_locations(ours, [(&uuid, Status::Present)], now);
        let content = written.as_deref().unwrap_or(ours);
        assert!(LocationLog::parse(content).is_present(&uuid));
    }
    let clean = without_clusters(ours);
    assert_eq!(LocationLog::parse(&clean).lines(), LocationLog::parse(ours).lines());

    LogKind::of(ours);
    assert_eq!(branch_path(&journal_name(ours)) == ours, journal_round_trips(ours));
});

fn rewrite<R: Record>(content: &[u8]) {
    let written = FieldLog::<R>::parse(content).write();
    assert_eq!(FieldLog::<R>::parse(&written).write(), written);
}
