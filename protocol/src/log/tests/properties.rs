//! Laws that hold for any content.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::log::{
    ChunkCount, Clock, ClusterNodes, Copies, Description, FieldLog, GroupPreferred, Groups, LocationLog, LogField,
    MaxSize, MetadataLog, Preferred, PresenceLog, ProxiedRemotes, Record, RemoteConfig, SingleLog, Status,
    TransitionLog, Trust, branch_path, journal_name, journal_round_trips, record_locations, recorded_urls, union,
    without_clusters,
};
use crate::uuid::Uuid;

/// Content made of the pieces that lines are made of, so that most lines mean something.
fn content() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&[u8]] = &[
        b" ",
        b"\n",
        b"\n",
        b"\r\n",
        b"5s 1 u1\n",
        b"5s 0 u1\n",
        b"6.5s 1 u2\n",
        b"u1 x timestamp=5s\n",
        b"u1 y timestamp=5s\n",
        b"u2 z timestamp=4s\n",
        b"7s u1 a b\n",
        b"7s u1 3\n",
        b"7s u1:100 3\n",
        b"7s tag +a -b other +!eA==\n",
        b"1s 1 ac3309e7-a6e0-8588-ae58-de093b669aa4\n",
        b"junk",
        b"-1",
        b"timestamp=",
        b"9",
        b"s",
        b"&32;",
        b"=",
        b"\xff",
    ];
    prop::collection::vec(prop::sample::select(PIECES), 0..24).prop_map(|pieces| pieces.concat())
}

fn line_set(content: &[u8]) -> BTreeSet<Vec<u8>> {
    content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

fn merged(a: &[u8], b: &[u8]) -> Vec<u8> {
    union(a, b).content(a, b).to_vec()
}

fn rewriting_is_stable<R: Record + PartialEq + std::fmt::Debug>(content: &[u8]) {
    let log = FieldLog::<R>::parse(content);
    let written = log.write();
    let again = FieldLog::<R>::parse(&written);
    assert_eq!(again, log);
    assert_eq!(again.write(), written);
    for (_, value) in log.iter() {
        assert_eq!(R::parse(&value.write()).as_ref(), Some(value));
    }
}

fn sets<R: Record + PartialEq + Clone + std::fmt::Debug>(content: &[u8], field: &[u8], value: &R, now: Clock) {
    let field = R::Field::parse(field).unwrap();
    let mut log = FieldLog::<R>::parse(content);
    let before = (log.value(&field).cloned(), log.clock(&field));
    let changed = log.set(field.clone(), value.clone(), now);
    let after = FieldLog::<R>::parse(&log.write());
    assert_eq!(after.value(&field), Some(value));
    if changed {
        assert!(after.clock(&field) > before.1 && after.clock(&field) >= Some(now));
    } else {
        assert_eq!((Some(value), log.clock(&field)), (before.0.as_ref(), before.1));
    }
}

fn clock() -> impl Strategy<Value = Clock> {
    prop_oneof![(0u64..12).prop_map(Clock::from_seconds), any::<u64>().prop_map(Clock::from_seconds)]
}

proptest! {
    #[test]
    fn clock_reads_what_it_writes(seconds in any::<u32>(), decimals in "[0-9]{0,12}", negative in any::<bool>()) {
        let sign = if negative { "-" } else { "" };
        let clock = Clock::parse(format!("{sign}{seconds}.{decimals}0s").as_bytes()).unwrap();
        prop_assert_eq!(Clock::parse(clock.to_string().as_bytes()), Some(clock));
        prop_assert!(Clock::next(clock, Some(clock)) > clock);
    }

    #[test]
    fn clocks_strictly_advance(now in clock(), newest in clock()) {
        let next = Clock::next(now, Some(newest));
        prop_assert!(next > newest && next >= now);
    }

    #[test]
    fn union_merge_is_a_union(a in content(), b in content(), c in content()) {
        let ab = merged(&a, &b);
        prop_assert_eq!(line_set(&ab), line_set(&a).union(&line_set(&b)).cloned().collect());
        prop_assert_eq!(line_set(&ab), line_set(&merged(&b, &a)));
        prop_assert_eq!(line_set(&merged(&ab, &c)), line_set(&merged(&a, &merged(&b, &c))));
        prop_assert_eq!(&merged(&ab, &ab), &ab);
        prop_assert_eq!(&merged(&ab, &a), &ab);
        prop_assert!(ab.is_empty() || ab.ends_with(b"\n"));
    }

    #[test]
    fn rewriting_loses_nothing(content in content()) {
        rewriting_is_stable::<Description>(&content);
        rewriting_is_stable::<Trust>(&content);
        rewriting_is_stable::<Groups>(&content);
        rewriting_is_stable::<Preferred>(&content);
        rewriting_is_stable::<GroupPreferred>(&content);
        rewriting_is_stable::<MaxSize>(&content);
        rewriting_is_stable::<ClusterNodes>(&content);
        rewriting_is_stable::<ProxiedRemotes>(&content);
        rewriting_is_stable::<RemoteConfig>(&content);
        rewriting_is_stable::<ChunkCount>(&content);
        let presence = PresenceLog::parse(&content);
        let written = presence.write();
        prop_assert_eq!(&PresenceLog::parse(&written), &presence);
        let single = SingleLog::parse(&content);
        prop_assert_eq!(&SingleLog::parse(&single.write()), &single);
        let metadata = MetadataLog::parse(&content);
        prop_assert_eq!(&MetadataLog::parse(&metadata.write()), &metadata);
    }

    #[test]
    fn what_is_set_is_read(content in content(), now in clock(), text in "[ -~]{0,20}", number in any::<u64>()) {
        sets(&content, b"u1", &Description(text.clone().into_bytes()), now);
        sets(&content, b"u1", &Preferred(text.clone().into_bytes()), now);
        sets(&content, b"u1", &GroupPreferred(text.clone().into_bytes()), now);
        sets(&content, b"u1", &MaxSize(number), now);
        sets(&content, b"u1:100", &ChunkCount(number), now);
        sets(&content, b"u1", &Trust::Dead, now);
        sets(&content, b"u1", &RemoteConfig([(b"k".to_vec(), format!("\n\u{a0}{text}").into_bytes())].into()), now);
        let mut single = SingleLog::parse(&content);
        single.set(Copies::new(number), now);
        prop_assert_eq!(SingleLog::parse(&single.write()).value(), Some(Copies::new(number)));
        let mut metadata = MetadataLog::parse(&content);
        metadata.change(b"tag", &[text.as_bytes()], &[b"a"], now);
        let metadata = MetadataLog::parse(&metadata.write()).current();
        let values: Vec<_> = metadata.values(b"TAG").collect();
        prop_assert!(values.contains(&text.as_bytes()));
        prop_assert!(text == "a" || !values.contains(&&b"a"[..]));
    }

    #[test]
    fn recorded_locations_are_read(content in content(), present in any::<bool>(), now in clock()) {
        let uuid = Uuid::parse(b"u1").unwrap();
        let status = if present { Status::Present } else { Status::Missing };
        let old = LocationLog::parse(&content);
        match record_locations(&content, [(&uuid, status)], now) {
            None => prop_assert_eq!(old.status(&uuid), Some(status)),
            Some(new) => {
                let log = LocationLog::parse(&new);
                prop_assert_eq!(log.status(&uuid), Some(status));
                let clock = |log: &LocationLog<'_>| log.lines().iter().find(|line| line.info == b"u1").map(|line| line.clock);
                prop_assert!(clock(&log) > clock(&old));
                // After a union merge with the old version the new line still wins.
                prop_assert_eq!(LocationLog::parse(&merged(&content, &new)).status(&uuid), Some(status));
                prop_assert_eq!(record_locations(&new, [(&uuid, status)], now), None);
            }
        }
        let clean = without_clusters(&content);
        let (clean, whole) = (LocationLog::parse(&clean), LocationLog::parse(&content));
        prop_assert_eq!(clean.lines(), whole.lines());
    }

    #[test]
    fn journal_names_round_trip_or_say_so(path in "[a_]{1,4}(/[a_]{1,4}){0,3}") {
        let name = journal_name(path.as_bytes());
        prop_assert!(!name.contains(&b'/'));
        prop_assert_eq!(branch_path(&name) == path.as_bytes(), journal_round_trips(path.as_bytes()));
        let hidden = path.split('/').skip(1).any(|component| component.starts_with('_'));
        prop_assert_eq!(journal_round_trips(path.as_bytes()), !hidden);
    }

    #[test]
    fn any_bytes_are_read(content in prop::collection::vec(any::<u8>(), 0..200)) {
        recorded_urls(&content);
        TransitionLog::parse(&content);
        rewriting_is_stable::<RemoteConfig>(&content);
        rewriting_is_stable::<Description>(&content);
    }
}
