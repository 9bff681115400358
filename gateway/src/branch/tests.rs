use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use annex_protocol::key::Key;
use annex_protocol::log::{Clock, LocationLog, Status, record_locations};
use annex_protocol::uuid::Uuid;

use keep_store::base::clock::{ManualClock, SystemClock};

use super::claims::Claim;
use super::merge::{Policy, Terms};
use super::{Branch, REF};
use crate::git::{Git, ObjectId};

struct Fixture {
    branch: Branch,
    _dir: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let git = Git::init_bare(&dir.path().join("r.git")).unwrap();
    let branch = Branch::open(git, SystemClock::shared()).unwrap();
    branch.change(&[b"uuid.log".to_vec()], |_, _| Some(b"u1 one timestamp=1s\n".to_vec())).unwrap();
    branch.commit().unwrap();
    Fixture { branch, _dir: dir }
}

/// Makes a commit as a client would have: on `parent`, with these files.
fn client_commit(branch: &Branch, parent: Option<ObjectId>, files: &[(&str, &str)]) -> ObjectId {
    let file = |(path, content): &(&str, &str)| (path.as_bytes().to_vec(), content.as_bytes().to_vec());
    let files: Vec<_> = files.iter().map(file).collect();
    let tree = branch.git().edit_tree(parent, &files).unwrap();
    branch.git().commit(tree, parent.as_slice(), "client", 1).unwrap()
}

fn read(branch: &Branch, path: &str) -> String {
    String::from_utf8(branch.read(path.as_bytes()).unwrap()).unwrap()
}

#[test]
fn a_change_is_seen_before_and_after_its_commit() {
    let Fixture { branch, .. } = &fixture();
    let key = Key::parse(b"SHA256E-s3--a_b.t_t").unwrap();
    let path = key.branch_path(".log");
    let here = Uuid::parse(b"here").unwrap();
    let present =
        |_: &[u8], content: &[u8]| record_locations(content, [(&here, Status::Present)], Clock::from_seconds(5));
    let before = branch.tip().unwrap();
    assert!(branch.change(std::slice::from_ref(&path), present).unwrap());
    assert_eq!(branch.tip().unwrap(), before, "it waits in the journal");
    assert_eq!(branch.read(&path).unwrap(), b"5s 1 here\n");
    branch.commit().unwrap();
    assert_ne!(branch.tip().unwrap(), before);
    assert_eq!(branch.read(&path).unwrap(), b"5s 1 here\n");
    assert!(!branch.change(&[path], present).unwrap(), "the log says so already");
    assert_eq!(read(branch, "uuid.log"), "u1 one timestamp=1s\n");
}

#[test]
fn a_path_that_the_journal_cannot_hold_is_committed_at_once() {
    let Fixture { branch, .. } = &fixture();
    let long = [&b"abc/def/WORM--"[..], &b"&a".repeat(130), b".log"].concat();
    for path in [b"abc/def/_X--a.log".to_vec(), long] {
        assert_eq!(branch.read(&path).unwrap(), b"");
        branch.change(std::slice::from_ref(&path), |_, _| Some(b"1s 1 here\n".to_vec())).unwrap();
        let tip = branch.tip().unwrap().unwrap();
        assert_eq!(branch.git().read_file(tip, &path).unwrap().as_deref(), Some(&b"1s 1 here\n"[..]));
    }
}

#[test]
fn an_empty_journal_file_does_not_win_over_what_is_committed() {
    let Fixture { branch, .. } = &fixture();
    for left in ["", "torn line without its end"] {
        let file = branch.git().dir().join("annex/journal/uuid.log");
        std::fs::write(&file, left).unwrap();
        assert_eq!(read(branch, "uuid.log"), "u1 one timestamp=1s\n");
        branch.commit().unwrap();
        assert_eq!(read(branch, "uuid.log"), "u1 one timestamp=1s\n");
        assert!(!file.exists());
    }
}

#[test]
fn what_a_power_loss_left_is_put_right_at_the_next_start_of_the_machine() {
    let clock = Arc::new(ManualClock::new(UNIX_EPOCH + Duration::from_secs(1_000_000)));
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let git = dir.path().join("r.git");
        let git = if git.exists() { Git::open(&git) } else { Git::init_bare(&git) };
        Branch::open(git.unwrap(), clock.clone()).unwrap()
    };
    let path = b"uuid.log".to_vec();
    let branch = open();
    let lines = "u1 one timestamp=1s\nu2 two timestamp=1s\n";
    branch.change(std::slice::from_ref(&path), |_, _| Some(lines.into())).unwrap();
    branch.commit().unwrap();
    // The journal file has lost its second half, and an object of a commit that never came to be all of its bytes.
    let journal = dir.path().join("r.git/annex/journal/uuid.log");
    std::fs::write(&journal, "u1 uno timestamp=2s\n").unwrap();
    let blob = branch.git().edit_tree(None, &[(b"x".to_vec(), b"lost\n".to_vec())]).unwrap().to_string();
    let object = dir.path().join("r.git/objects").join(&blob[..2]).join(&blob[2..]);
    std::fs::remove_file(&object).unwrap();
    std::fs::write(&object, "").unwrap();
    assert_eq!(read(&open(), "uuid.log"), "u1 uno timestamp=2s\n", "the machine was not started since");
    clock.reboot("the next one");
    assert_eq!(read(&open(), "uuid.log"), "u1 one timestamp=1s\nu1 uno timestamp=2s\nu2 two timestamp=1s\n");
    assert!(!object.exists());
    open().commit().unwrap();
    assert!(!journal.exists());
}

#[test]
fn a_torn_journal_line_is_not_committed() {
    let Fixture { branch, .. } = &fixture();
    std::fs::write(branch.git().dir().join("annex/journal/numcopies.log"), "1s 2\n2s").unwrap();
    assert_eq!(read(branch, "numcopies.log"), "1s 2\n");
    branch.commit().unwrap();
    assert_eq!(read(branch, "numcopies.log"), "1s 2\n");
}

#[test]
fn a_push_onto_our_tip_is_taken_as_it_is() {
    let Fixture { branch, .. } = &fixture();
    let ours = branch.tip().unwrap();
    let pushed = client_commit(branch, ours, &[("uuid.log", "u2 two timestamp=2s\n")]);
    let merged = branch.merge(pushed, Policy::Everything).unwrap();
    assert_eq!(merged.tip, pushed);
    assert_eq!(branch.tip().unwrap(), Some(pushed));
    assert_eq!(branch.merge(pushed, Policy::Everything).unwrap().tip, pushed, "again changes nothing");
}

#[test]
fn a_diverged_push_is_joined_line_by_line_with_the_journal() {
    let Fixture { branch, .. } = &fixture();
    let pushed = client_commit(branch, None, &[("uuid.log", "u2 two timestamp=2s\n"), ("x.log", "1s new\n")]);
    branch.change(&[b"y.log".to_vec()], |_, _| Some(b"1s pending\n".to_vec())).unwrap();
    let merged = branch.merge(pushed, Policy::Everything).unwrap();
    assert_eq!(branch.tip().unwrap(), Some(merged.tip));
    assert!(branch.git().is_ancestor(pushed, merged.tip).unwrap());
    assert_eq!(read(branch, "uuid.log"), "u1 one timestamp=1s\nu2 two timestamp=2s\n");
    assert_eq!(read(branch, "x.log"), "1s new\n");
    assert_eq!(read(branch, "y.log"), "1s pending\n");
    assert!(std::fs::read_dir(branch.git().dir().join("annex/journal")).unwrap().next().is_none());
}

#[test]
fn placement_is_for_admins() {
    let Fixture { branch, .. } = &fixture();
    let ours = branch.tip().unwrap();
    let files = [("preferred-content.log", "u1 anything timestamp=3s\n"), ("x.log", "1s new\n")];
    let pushed = client_commit(branch, ours, &files);
    let merged = branch.merge(pushed, Policy::NoPlacement).unwrap();
    assert_eq!(merged.refused, ["preferred-content.log"]);
    assert_eq!(read(branch, "preferred-content.log"), "");
    assert_eq!(read(branch, "x.log"), "1s new\n", "the rest is merged");
    let again = branch.merge(pushed, Policy::NoPlacement).unwrap();
    assert_eq!((again.tip, again.refused.len()), (merged.tip, 1), "told again, but nothing changes");
    branch.merge(pushed, Policy::Everything).unwrap();
    assert_eq!(read(branch, "preferred-content.log"), "u1 anything timestamp=3s\n");
}

#[test]
fn removing_placement_lines_is_for_admins_too() {
    let Fixture { branch, .. } = &fixture();
    branch.change(&[b"numcopies.log".to_vec()], |_, _| Some(b"1s 3\n".to_vec())).unwrap();
    branch.commit().unwrap();
    let pushed = client_commit(branch, branch.tip().unwrap(), &[("numcopies.log", "")]);
    branch.merge(pushed, Policy::NoPlacement).unwrap();
    assert_eq!(read(branch, "numcopies.log"), "1s 3\n");
}

#[test]
fn cluster_uuids_of_old_clients_are_left_out_of_location_logs() {
    let Fixture { branch, .. } = &fixture();
    let cluster = "aca5eba9-ef36-8fc5-b11d-effc1bd2effc";
    let path = "abc/def/WORM--x.log";
    let pushed = client_commit(branch, branch.tip().unwrap(), &[(path, &format!("1s 1 {cluster}\n2s 1 u1\n"))]);
    branch.merge(pushed, Policy::Everything).unwrap();
    assert_eq!(read(branch, path), "2s 1 u1\n");
    let content = branch.read(path.as_bytes()).unwrap();
    assert_eq!(LocationLog::parse(&content).present().count(), 1);
}

#[test]
fn a_push_onto_our_tip_removes_no_file() {
    let Fixture { branch, .. } = &fixture();
    let ours = branch.tip().unwrap();
    let empty = client_commit(branch, None, &[("x.log", "1s new\n")]);
    let tree = branch.git().edit_tree(Some(empty), &[]).unwrap();
    let pushed = branch.git().commit(tree, ours.as_slice(), "client", 1).unwrap();
    let merged = branch.merge(pushed, Policy::Everything).unwrap();
    assert!(branch.git().is_ancestor(pushed, merged.tip).unwrap());
    assert_eq!(read(branch, "uuid.log"), "u1 one timestamp=1s\n");
    assert_eq!(read(branch, "x.log"), "1s new\n");
    assert_eq!(branch.merge(pushed, Policy::Everything).unwrap().tip, merged.tip, "again changes nothing");
}

#[test]
fn a_push_onto_our_tip_takes_no_lines_away_but_may_replace_them() {
    let Fixture { branch, .. } = &fixture();
    let path = "abc/def/WORM--x.log";
    branch.change(&[path.into()], |_, _| Some(b"5s 1 u1\n6s 1 u2\n".to_vec())).unwrap();
    branch.commit().unwrap();
    let emptied = client_commit(branch, branch.tip().unwrap(), &[(path, "6s 1 u2\n"), ("uuid.log", "")]);
    branch.merge(emptied, Policy::NoPlacement).unwrap();
    assert_eq!(read(branch, path), "5s 1 u1\n6s 1 u2\n");
    assert_eq!(read(branch, "uuid.log"), "u1 one timestamp=1s\n");
    let replaced = client_commit(branch, branch.tip().unwrap(), &[(path, "7s 0 u1\n6s 1 u2\n")]);
    assert_eq!(branch.merge(replaced, Policy::NoPlacement).unwrap().tip, replaced);
}

#[test]
fn what_is_pushed_about_our_own_nodes_is_a_claim_and_no_line() {
    let Fixture { branch, .. } = &fixture();
    let (path, other) = ("abc/def/WORM--x.log", "abc/def/WORM--y.log");
    branch.change(&[path.into()], |_, _| Some(b"5s 1 n1\n5s 1 n2\n5s 1 u1\n".to_vec())).unwrap();
    branch.commit().unwrap();
    let own_nodes: BTreeSet<Uuid> = [b"n1", b"n2"].into_iter().filter_map(|name| Uuid::parse(name)).collect();
    for policy in [Policy::NoPlacement, Policy::Everything] {
        let terms = Terms { policy, own_nodes: own_nodes.clone() };
        let said = "6s 0 n1\n6s 1 n2\n6s 0 u1\n";
        let pushed = client_commit(branch, branch.tip().unwrap(), &[(path, said), (other, "6s 1 n1\n")]);
        let merged = branch.merge(pushed, terms.clone()).unwrap();
        let log = read(branch, path);
        let log = LocationLog::parse(log.as_bytes());
        let present: Vec<_> = log.present().map(|uuid| uuid.to_string()).collect();
        assert_eq!(present, ["n1", "n2"], "what is said of others is taken");
        assert_eq!(read(branch, other), "");
        let claims: Vec<_> =
            merged.claims.iter().map(|claim| (claim.key.to_string(), claim.node.to_string())).collect();
        assert_eq!(claims, [("WORM--x".into(), "n1".into()), ("WORM--y".into(), "n1".to_owned())]);
        // A client that is behind claims nothing.
        let behind = client_commit(branch, branch.tip().unwrap(), &[(path, "4s 0 n1\n5s 1 n2\n6s 0 u1\n")]);
        assert!(branch.merge(behind, terms.clone()).unwrap().claims.is_empty());
        // Nor does leaving our lines out take them away.
        let without = client_commit(branch, branch.tip().unwrap(), &[(path, "6s 0 u1\n")]);
        assert!(branch.merge(without, terms).unwrap().claims.is_empty());
        assert!(read(branch, path).contains("5s 1 n1\n"));
    }
    branch.note_claims(&[]).unwrap();
    assert!(branch.take_claims().unwrap().is_empty());
    let key = Key::parse(b"WORM--with space").unwrap();
    let claim = Claim { node: Uuid::parse(b"n1").unwrap(), key, clock: Clock::from_seconds(6) };
    branch.note_claims(std::slice::from_ref(&claim)).unwrap();
    branch.note_claims(&vec![claim.clone(); 2_000_000]).unwrap();
    let taken = branch.take_claims().unwrap();
    assert!(taken.len() > 100_000 && taken.len() < 2_000_000 && taken.iter().all(|taken| *taken == claim));
    assert!(branch.take_claims().unwrap().is_empty());
}

#[test]
fn rewritten_history_is_not_merged() {
    let Fixture { branch, .. } = &fixture();
    let pushed = client_commit(branch, None, &[("transitions.log", "ForgetGitHistory 1s\n")]);
    let before = branch.tip().unwrap();
    assert!(branch.merge(pushed, Policy::Everything).unwrap_err().to_string().contains("transitions.log"));
    assert_eq!(branch.tip().unwrap(), before);
}

#[test]
fn commits_survive_pushes_that_take_no_lock() {
    let Fixture { branch, .. } = &fixture();
    let pusher = branch.clone();
    let pushing = std::thread::spawn(move || {
        for round in 0..30 {
            let tip = pusher.tip().unwrap();
            let pushed = client_commit(&pusher, tip, &[(&format!("pushed-{round}"), "1s x\n")]);
            // As git does it: compare and swap, no lock. Losing the race is the pusher's to repeat.
            let _ = pusher.git().move_ref(REF, tip, pushed);
        }
    });
    for round in 0..30 {
        branch.change(&[format!("ours-{round}").into()], |_, _| Some(b"1s x\n".to_vec())).unwrap();
        branch.commit().unwrap();
    }
    pushing.join().unwrap();
    for round in 0..30 {
        assert_eq!(read(branch, &format!("ours-{round}")), "1s x\n", "round {round}");
    }
}

#[test]
fn a_repository_that_goes_away_during_a_commit_is_not_begun_anew_where_it_was() {
    let Fixture { branch, _dir } = &fixture();
    let (there, away) = (_dir.path().join("r.git"), _dir.path().join("away"));
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let committing = scope.spawn(|| {
            for n in 0..300 {
                let _away =
                    branch.change(&[b"uuid.log".to_vec()], |_, _| Some(format!("u1 {n} timestamp=1s\n").into()));
                let _away = branch.commit();
            }
            over.store(true, Ordering::Relaxed);
        });
        while !over.load(Ordering::Relaxed) {
            std::fs::rename(&there, &away).unwrap();
            std::thread::sleep(Duration::from_micros(200));
            let left = there.exists();
            std::fs::rename(&away, &there).unwrap();
            assert!(!left, "something was made in its place");
            std::thread::sleep(Duration::from_millis(2));
        }
        committing.join().unwrap();
    });
    branch.change(&[b"uuid.log".to_vec()], |_, _| Some(b"u1 last timestamp=2s\n".to_vec())).unwrap();
    branch.commit().unwrap();
}

#[test]
fn sizes_count_what_waits_in_the_journal_and_commit_nothing() {
    let Fixture { branch, .. } = &fixture();
    let (here, there) = (Uuid::parse(b"u1").unwrap(), Uuid::parse(b"u2").unwrap());
    let record = |key: &str, uuid: &Uuid, status| {
        let path = Key::parse(key.as_bytes()).unwrap().branch_path(".log");
        let now = branch.now();
        branch.change(&[path], |_, content| record_locations(content, [(uuid, status)], now)).unwrap();
    };
    let mut sizes = super::sizes::Sizes::default();
    let mut expect = |here_bytes, there_bytes| {
        branch.update_sizes(&mut sizes).unwrap();
        assert_eq!((sizes.of(&here), sizes.of(&there)), (Some(here_bytes), there_bytes));
        let mut anew = super::sizes::Sizes::default();
        branch.update_sizes(&mut anew).unwrap();
        assert_eq!(
            (anew.of(&here), anew.of(&there).filter(|bytes| *bytes > 0)),
            (Some(here_bytes), there_bytes.filter(|b| *b > 0))
        );
    };
    let tip = branch.tip().unwrap();
    expect(0, None);
    record("WORM-s10--a", &here, Status::Present);
    expect(10, None);
    record("WORM-s10--a", &there, Status::Present);
    record("WORM-s5--b", &here, Status::Present);
    expect(15, Some(10));
    assert_eq!(branch.tip().unwrap(), tip, "nothing was committed for it");
    branch.commit().unwrap();
    expect(15, Some(10));
    record("WORM-s10--a", &here, Status::Missing);
    expect(5, Some(10));
    record("WORM-s10--a", &here, Status::Present);
    expect(15, Some(10));
    record("WORM-s10--a", &there, Status::Missing);
    branch.commit().unwrap();
    expect(15, Some(0));
    for number in 0..600 {
        record(&format!("WORM-s1--{number}"), &here, Status::Present);
    }
    expect(615, Some(0));
}
