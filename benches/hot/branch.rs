//! The git-annex branch as a table, on repositories of many keys: what one key costs must not grow with them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use annex_gateway::branch::Branch;
use annex_gateway::branch::sizes::Sizes;
use annex_gateway::git::Git;
use annex_protocol::key::Key;
use annex_protocol::log::{Clock, Status, record_locations};
use annex_protocol::uuid::Uuid;
use divan::Bencher;
use keep_store::base::clock::SystemClock;

struct Made {
    branch: Branch,
    keys: u32,
    _dir: tempfile::TempDir,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

fn sizes() -> Vec<u32> {
    let large = std::env::var_os("LARGE").map(|_| 1_000_000);
    [1_000, 100_000].into_iter().chain(large).collect()
}

fn key(number: u32) -> Key {
    // Spread over the folders of the branch as hashes are.
    Key::parse(format!("SHA256-s4096--{:08x}", number.wrapping_mul(2_654_435_761)).as_bytes()).unwrap()
}

fn place(branch: &Branch, key: &Key) {
    let node = Uuid::parse(b"00000000-0000-0000-0000-000000000001").unwrap();
    let changed = branch.change(&[key.branch_path(".log")], |_, content| {
        record_locations(content, [(&node, Status::Present)], Clock::from_seconds(5))
    });
    assert!(changed.unwrap(), "a new key");
}

/// A branch with so many keys, made once for all benchmarks.
fn made(keys: u32) -> Arc<Made> {
    static MADE: Mutex<BTreeMap<u32, Arc<Made>>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(made.entry(keys).or_insert_with(|| {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::init_bare(&dir.path().join("r.git")).unwrap();
        let branch = Branch::open(git, SystemClock::shared()).unwrap();
        let files: Vec<_> = (0..keys)
            .map(|number| (key(number).branch_path(".log"), b"5s 1 00000000-0000-0000-0000-000000000001\n".to_vec()))
            .collect();
        let tree = branch.git().edit_tree(None, &files).unwrap();
        let commit = branch.git().commit(tree, &[], "made", 1).unwrap();
        branch.git().move_ref(annex_gateway::branch::REF, None, commit).unwrap();
        Arc::new(Made { branch, keys, _dir: dir })
    }))
}

#[divan::bench(args = sizes())]
fn read(bencher: Bencher<'_, '_>, keys: u32) {
    let made = made(keys);
    bencher.bench(|| {
        let key = key(NEXT.fetch_add(7919, Ordering::Relaxed) % made.keys);
        assert!(!made.branch.read(&key.branch_path(".log")).unwrap().is_empty());
    });
}

#[divan::bench(args = sizes())]
fn record(bencher: Bencher<'_, '_>, keys: u32) {
    let made = made(keys);
    bencher.bench(|| place(&made.branch, &key((1 << 30) | NEXT.fetch_add(1, Ordering::Relaxed))));
}

/// A commit of a hundred changed keys.
#[divan::bench(args = sizes(), sample_count = 10, sample_size = 1)]
fn commit_hundred(bencher: Bencher<'_, '_>, keys: u32) {
    let made = made(keys);
    bencher
        .with_inputs(|| {
            (0..100).for_each(|_| place(&made.branch, &key((1 << 30) | NEXT.fetch_add(1, Ordering::Relaxed))));
        })
        .bench_values(|()| made.branch.commit().unwrap());
}

/// What a quota asks for at each upload: how much is stored, one key after the last time.
#[divan::bench(args = sizes(), sample_count = 20, sample_size = 1)]
fn sizes_after_one(bencher: Bencher<'_, '_>, keys: u32) {
    let made = made(keys);
    let known = Mutex::new(Sizes::default());
    made.branch.update_sizes(&mut known.lock().unwrap()).unwrap();
    bencher
        .with_inputs(|| place(&made.branch, &key((1 << 30) | NEXT.fetch_add(1, Ordering::Relaxed))))
        .bench_values(|()| made.branch.update_sizes(&mut known.lock().unwrap()).unwrap());
}
