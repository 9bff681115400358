//! External special remotes: the programs of `t`, and our own, in every mood.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use annex_gateway::node::external::{ExternalNode, Options, Times};
use annex_gateway::node::{Capacity, Content, Hold, Incoming, Node, NodeError, Onward};
use annex_gateway::spool::{LazySpool, Spool};
use annex_protocol::hash::Hasher;
use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use keep_store::base::clock::SystemClock;
use keep_store::base::stream::Piece;
use tempfile::TempDir;

use crate::contract;

const UUID: &str = "0aaa1111-2222-3333-4444-555566667777";

/// A directory with a node, its program and what that keeps.
struct Place {
    dir: TempDir,
    times: Times,
}

impl Place {
    fn new() -> Self {
        Self::with_silence(30)
    }

    /// One whose programs are given up after so many seconds without a sign of life.
    fn with_silence(seconds: u64) -> Self {
        let times = Times::default().with_silence(Duration::from_secs(seconds));
        Self { dir: tempfile::tempdir().unwrap(), times: Times { slowest: 100 << 20, ..times } }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where the program keeps its things.
    fn shelf(&self, name: &str) -> PathBuf {
        self.path("shelf").join(name)
    }

    async fn open(&self, program: PathBuf, settings: &[(&str, &str)]) -> Arc<dyn Node> {
        let directory = self.path("shelf").to_str().unwrap().to_owned();
        let mut all = BTreeMap::from([("directory".to_owned(), directory.clone()), ("store".to_owned(), directory)]);
        all.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let secret = |name: &str| Ok((name == "login").then(|| "alice\nhunter 2".to_owned()));
        let options = Options {
            name: "x".into(),
            kind: "shelf".into(),
            program: program.into(),
            uuid: Uuid::parse(UUID.as_bytes()).unwrap(),
            settings: all,
            secrets: Arc::new(secret),
            dir: self.path("state"),
            spool: Spool::open(&self.path("spool"), 0, &SystemClock::default()).unwrap(),
            processes: 3,
            times: self.times,
        };
        let node = ExternalNode::open(options).await.unwrap();
        Arc::new(ByPieces { node, spool: LazySpool::new(&self.path("spool"), 0, &SystemClock::shared()) })
    }

    async fn shell(&self) -> Arc<dyn Node> {
        self.open(shell(), &[]).await
    }

    fn fault(&self, what: &str) {
        std::fs::create_dir_all(self.path("shelf")).unwrap();
        std::fs::write(self.shelf(".fault"), what).unwrap();
    }

    fn mend(&self) {
        let _gone = std::fs::remove_file(self.shelf(".fault"));
    }

    /// How often the program was started so far.
    fn starts(&self) -> usize {
        std::fs::read_to_string(self.shelf(".started")).unwrap_or_default().lines().count()
    }

    fn spooled(&self) -> usize {
        let found = walk(&self.path("spool"));
        found.iter().filter(|path| !path.ends_with("lock")).count()
    }
}

/// The node as one that takes pieces: the gateway has the file written that it needs.
struct ByPieces {
    node: ExternalNode,
    spool: LazySpool,
}

#[async_trait]
impl Node for ByPieces {
    async fn present(&self, key: &Key) -> Result<bool, NodeError> {
        self.node.present(key).await
    }

    async fn get(&self, key: &Key, offset: u64) -> Result<Option<Content>, NodeError> {
        self.node.get(key, offset).await
    }

    async fn put(&self, key: &Key, file: &AssociatedFile) -> Result<Incoming, NodeError> {
        let incoming = self.node.put(key, file).await?;
        assert!(matches!(incoming, Incoming::WholeFile(_)), "a program takes files");
        let owner = Uuid::parse(UUID.as_bytes()).unwrap();
        incoming.in_pieces(&self.spool, &owner, key).await.map(Incoming::Pieces)
    }

    async fn remove(&self, key: &Key) -> Result<Vec<Uuid>, NodeError> {
        self.node.remove(key).await
    }

    async fn set_aside(&self, key: &Key) -> Result<(), NodeError> {
        self.node.set_aside(key).await
    }

    async fn lock(&self, key: &Key) -> Result<Option<Box<dyn Hold>>, NodeError> {
        self.node.lock(key).await
    }

    async fn capacity(&self) -> Result<Capacity, NodeError> {
        self.node.capacity().await
    }

    fn onward(&self, gateways: &BTreeSet<Uuid>) -> Onward {
        self.node.onward(gateways)
    }
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

fn shell() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("t/git-annex-remote-shelf")
}

fn key(content: &[u8]) -> Key {
    let mut hasher = Hasher::for_backend(b"SHA256").unwrap();
    hasher.update(content);
    Key::parse(format!("SHA256-s{}--{}", content.len(), hasher.finish()).as_bytes()).unwrap()
}

async fn put(node: &Arc<dyn Node>, content: &[u8]) -> Result<Key, NodeError> {
    store(node, key(content), content).await
}

async fn store(node: &Arc<dyn Node>, key: Key, content: &[u8]) -> Result<Key, NodeError> {
    let mut upload = contract::start(node, &key).await?.upload;
    upload.announce(content.len() as u64).await?;
    upload.piece(Piece::Data(Bytes::copy_from_slice(content))).await?;
    upload.commit().await.map(|_others| key)
}

async fn get(node: &Arc<dyn Node>, key: &Key) -> Result<Option<Vec<u8>>, NodeError> {
    let Some(content) = node.get(key, 0).await? else { return Ok(None) };
    let bytes: Result<Vec<Bytes>, _> = content.stream.try_collect().await;
    Ok(Some(bytes.map_err(|error| NodeError::Failed(error.to_string()))?.concat()))
}

async fn promises(program: impl Fn(&Place) -> PathBuf, settings: &[(&str, &str)]) {
    let places: Mutex<Vec<Place>> = Mutex::default();
    let allow = contract::Allow { no_spaces_in_keys: true, ..contract::Allow::default() };
    contract::suite(allow, async || {
        let place = Place::new();
        let node = place.open(program(&place), settings).await;
        places.lock().unwrap().push(place);
        node
    })
    .await;
    for place in places.lock().unwrap().iter() {
        let left = walk(&place.path("spool"));
        let left: Vec<_> = left.iter().filter(|path| !path.ends_with("lock")).collect();
        assert!(left.iter().all(|path| path.starts_with(place.path("spool/kept"))), "{left:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shell_script_keeps_the_promises_of_a_node() {
    promises(|_| shell(), &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ordered_shell_script_keeps_the_promises_of_a_node() {
    promises(|_| shell(), &[("ordered", "yes")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_special_remote_keeps_the_promises_of_a_node() {
    let own = |place: &Place| {
        let program = place.path("git-annex-remote-keep");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_annex-keep"), &program).unwrap();
        program
    };
    promises(own, &[]).await;
}

#[tokio::test]
async fn a_program_that_fails_once_is_replaced_and_nobody_notices() {
    let place = Place::new();
    let node = place.shell().await;
    let key = put(&node, b"content").await.unwrap();
    for request in ["STORE", "RETRIEVE", "CHECKPRESENT", "REMOVE"] {
        for how in ["crash", "garbage", "other", "error", "half"] {
            place.fault(&format!("{request}:{how}-once"));
            match request {
                "STORE" => drop(put(&node, b"content").await.unwrap()),
                "RETRIEVE" => assert_eq!(get(&node, &key).await.unwrap().unwrap(), b"content", "{how}"),
                "CHECKPRESENT" => assert!(node.present(&key).await.unwrap(), "{how}"),
                _ => {
                    node.remove(&key).await.unwrap();
                    put(&node, b"content").await.unwrap();
                }
            }
            assert!(!place.shelf(".fault").exists(), "{request}:{how} did not happen");
        }
    }
    assert_eq!(std::fs::read_to_string(place.shelf(".initremote")).unwrap(), "init\n", "INITREMOTE was done once");
    assert_eq!(place.spooled(), 0);
}

#[tokio::test]
async fn a_program_that_fails_again_says_nothing_of_presence() {
    let place = Place::new();
    let node = place.shell().await;
    let key = put(&node, b"content").await.unwrap();
    for how in ["crash", "garbage", "other", "error", "unknown"] {
        place.fault(&format!("CHECKPRESENT:{how}"));
        assert!(node.present(&key).await.is_err(), "{how}");
        assert!(node.lock(&key).await.is_err(), "{how}");
        // What was stored and cannot be confirmed is not said to be.
        assert!(put(&node, b"other content").await.is_err(), "{how}");
    }
    place.mend();
    assert!(node.present(&key).await.unwrap());
    for how in ["crash", "error", "fail"] {
        place.fault(&format!("REMOVE:{how}"));
        assert!(node.remove(&key).await.is_err(), "{how}");
        place.fault(&format!("RETRIEVE:{how}"));
        assert!(get(&node, &key).await.is_err(), "{how}");
        place.fault(&format!("STORE:{how}"));
        assert!(put(&node, b"more content").await.is_err(), "{how}");
        place.mend();
        assert!(node.present(&key).await.unwrap(), "{how}");
        assert!(!node.present(&self::key(b"more content")).await.unwrap(), "{how}");
    }
    assert_eq!(place.spooled(), 0);
}

#[tokio::test]
async fn the_text_of_a_failure_is_passed_on() {
    let place = Place::new();
    let node = place.shell().await;
    place.fault("STORE:fail");
    let error = put(&node, b"content").await.unwrap_err().to_string();
    assert!(error.contains("no room on the shelf"), "{error}");
    place.fault("CHECKPRESENT:error");
    let error = node.present(&key(b"content")).await.unwrap_err().to_string();
    assert!(error.contains("git-annex-remote-shelf: CHECKPRESENT: it says: the disk is on fire"), "{error}");
    place.fault("CHECKPRESENT:garbage");
    let error = node.present(&key(b"content")).await.unwrap_err().to_string();
    assert!(error.contains("I am not a message"), "{error}");
}

#[tokio::test]
async fn a_lie_about_storing_is_found_out() {
    let place = Place::new();
    let node = place.shell().await;
    place.fault("STORE:lie");
    assert!(put(&node, b"content").await.is_err());
    assert!(!node.present(&key(b"content")).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_hangs_is_given_up_and_hurts_nobody_else() {
    let place = Place::with_silence(5);
    let node = place.shell().await;
    let first = put(&node, b"first").await.unwrap();
    for request in ["RETRIEVE", "STORE", "CHECKPRESENT", "REMOVE"] {
        place.fault(&format!("{request}:hang-once"));
        let start = Instant::now();
        let hanging = async {
            match request {
                "RETRIEVE" => get(&node, &first).await.map(drop),
                "STORE" => put(&node, b"second").await.map(drop),
                "CHECKPRESENT" => node.present(&first).await.map(drop),
                _ => node.remove(&first).await.map(drop),
            }
        };
        let others = async {
            while place.shelf(".fault").exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            put(&node, b"third").await.unwrap();
            assert_eq!(get(&node, &key(b"third")).await.unwrap().unwrap(), b"third");
            start.elapsed()
        };
        let (hung, others) = tokio::join!(hanging, others);
        assert!(matches!(hung, Err(NodeError::Unreachable(_))), "{request}: {hung:?}");
        assert!(others < start.elapsed(), "{request}: others waited");
        assert!(node.present(&first).await.unwrap());
    }
    // What hung is no more.
    let pids = std::fs::read_to_string(place.shelf(".started")).unwrap();
    let alive = || pids.lines().filter(|pid| Path::new("/proc").join(pid).join("exe").exists()).count();
    drop(node);
    let start = Instant::now();
    while alive() > 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "programs outlive their node");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn only_a_transfer_that_shows_progress_is_held_to_it() {
    let mut place = Place::with_silence(5);
    place.times.slowest = 10_000;
    let node = place.shell().await;
    let content = vec![7; 400_000];
    place.fault("STORE:slow");
    let start = Instant::now();
    let key = put(&node, &content).await.unwrap();
    assert!(start.elapsed() > place.times.answer, "it was slow");
    place.fault("STORE:stall");
    let start = Instant::now();
    assert!(put(&node, &content).await.is_err());
    assert!(start.elapsed() < Duration::from_secs(30), "the time for all its bytes was waited for");
    place.mend();
    assert!(node.present(&key).await.unwrap());
}

#[tokio::test]
async fn wrong_bytes_are_never_passed_on_and_count_as_gone_until_stored_again() {
    for ordered in ["", "yes"] {
        let place = Place::new();
        let node = place.open(shell(), &[("ordered", ordered)]).await;
        for how in ["wrong", "short", "long"] {
            let content = b"content that is more than nothing";
            let key = put(&node, content).await.unwrap();
            place.fault(&format!("RETRIEVE:{how}"));
            assert!(get(&node, &key).await.is_err(), "{how}");
            assert!(!node.present(&key).await.unwrap(), "{how}");
            assert!(node.get(&key, 0).await.unwrap().is_none(), "{how}");
            place.mend();
            put(&node, content).await.unwrap();
            assert!(node.present(&key).await.unwrap(), "{how}");
            assert_eq!(get(&node, &key).await.unwrap().unwrap(), content, "{how}");
        }
    }
}

#[tokio::test]
async fn an_ordered_program_is_streamed_while_it_writes() {
    let place = Place::new();
    let node = place.open(shell(), &[("ordered", "yes")]).await;
    let content: Vec<u8> = (0..400_000u32).map(|at| at.to_le_bytes()[1]).collect();
    let key = put(&node, &content).await.unwrap();
    place.fault("RETRIEVE:slow");
    let mut stream = node.get(&key, 1000).await.unwrap().unwrap().stream;
    let mut got = Vec::new();
    while got.len() < 199_000 {
        got.extend_from_slice(&stream.next().await.unwrap().unwrap());
    }
    assert!(!place.shelf(".go").exists(), "the program has not written the rest");
    std::fs::write(place.shelf(".go"), "").unwrap();
    while let Some(bytes) = stream.next().await {
        got.extend_from_slice(&bytes.unwrap());
    }
    assert!(got == content[1000..]);
}

#[tokio::test]
async fn a_download_that_broke_off_goes_on_where_it_was() {
    for ordered in ["", "yes"] {
        let place = Place::new();
        let node = place.open(shell(), &[("ordered", ordered)]).await;
        let content = vec![7; 400_000];
        let key = put(&node, &content).await.unwrap();
        place.fault("RETRIEVE:slow-once");
        give_up_half_way(&place, &node, &key).await;
        wait_until(|| walk(&place.path("spool/kept")).len() == 1).await;
        assert!(get(&node, &key).await.unwrap().unwrap() == content);
        assert_eq!(std::fs::read_to_string(place.shelf(".resumed")).unwrap(), "200000\n");
        assert_eq!(place.spooled(), 0);
    }
}

#[tokio::test]
async fn what_was_left_of_a_download_and_is_wrong_does_no_harm() {
    for ordered in ["", "yes"] {
        let place = Place::new();
        let node = place.open(shell(), &[("ordered", ordered)]).await;
        let content = vec![7; 400_000];
        let key = put(&node, &content).await.unwrap();
        place.fault("RETRIEVE:slow-once");
        give_up_half_way(&place, &node, &key).await;
        wait_until(|| walk(&place.path("spool/kept")).len() == 1).await;
        std::fs::write(&walk(&place.path("spool/kept"))[0], vec![8; 200_000]).unwrap();
        // Of a file that is sent as it grows only its end can be held back.
        assert_eq!(get(&node, &key).await.is_err(), ordered == "yes");
        assert!(node.present(&key).await.unwrap(), "the copy is good");
        assert!(get(&node, &key).await.unwrap().unwrap() == content);
    }
}

/// Starts a download, and leaves it when the program has written the half after which it waits.
async fn give_up_half_way(place: &Place, node: &Arc<dyn Node>, key: &Key) {
    let half = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|found| found.len() == 200_000);
    tokio::select! {
        got = get(node, key) => panic!("the program does not wait: {:?}", got.map(drop)),
        () = wait_until(|| walk(&place.path("spool")).iter().any(half)) => {}
    }
}

async fn wait_until(mut happens: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happens() {
        assert!(start.elapsed() < Duration::from_secs(60), "it does not happen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn jobs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("t/git-annex-remote-jobshelf")
}

async fn put_as(node: &Arc<dyn Node>, name: &str, content: &[u8]) -> Result<Key, NodeError> {
    let key = Key::parse(format!("WORM-s{}-m1--{name}", content.len()).as_bytes()).unwrap();
    store(node, key, content).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_of_many_jobs_is_started_once() {
    let place = Place::new();
    let node = place.open(jobs(), &[]).await;
    let stored = futures_util::future::join_all((0..20u32).map(|at| {
        let node = Arc::clone(&node);
        async move { put_as(&node, &format!("file{at}"), &at.to_le_bytes()).await.unwrap() }
    }));
    for (at, key) in stored.await.into_iter().enumerate() {
        assert_eq!(get(&node, &key).await.unwrap().unwrap(), (at as u32).to_le_bytes());
    }
    assert_eq!(place.starts(), 1, "one process does all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_job_that_goes_wrong_hurts_no_other() {
    for bad in ["HANG", "OTHER", "DIE", "GARBAGE"] {
        let place = Place::with_silence(5);
        let node = place.open(jobs(), &[]).await;
        let slow = put_as(&node, "SLOW", b"content").await.unwrap();
        let running = {
            let node = Arc::clone(&node);
            tokio::spawn(async move { get(&node, &slow).await })
        };
        let bad_key = Key::parse(format!("WORM-s1-m1--{bad}").as_bytes()).unwrap();
        if bad == "DIE" {
            // The second time it lives, or there would be no end for the others either.
            std::fs::write(place.shelf(".die-once"), "").unwrap();
            std::fs::write(place.shelf(".live"), "").unwrap();
            assert!(!node.present(&bad_key).await.unwrap());
        } else {
            let error = node.present(&bad_key).await.unwrap_err();
            assert!(matches!(error, NodeError::Unreachable(_)), "{bad}: {error}");
        }
        // Others are served meanwhile.
        let other = put_as(&node, "other", b"more").await.unwrap();
        assert_eq!(get(&node, &other).await.unwrap().unwrap(), b"more", "{bad}");
        std::fs::write(place.shelf(".go"), "").unwrap();
        assert_eq!(running.await.unwrap().unwrap().unwrap(), b"content", "{bad}");
        // What was given up ends when its last job has.
        let pids = std::fs::read_to_string(place.shelf(".started")).unwrap();
        drop(node);
        wait_until(|| !pids.lines().any(|pid| Path::new("/proc").join(pid).join("exe").exists())).await;
    }
}

#[tokio::test]
async fn a_program_that_dies_at_once_is_not_started_over_and_over() {
    let place = Place::new();
    place.fault("PREPARE:crash");
    let node = place.shell().await;
    for _ in 0..200 {
        assert!(matches!(node.present(&key(b"x")).await, Err(NodeError::Unreachable(_))));
    }
    assert!(place.starts() <= 2, "{} starts", place.starts());
    place.mend();
    let start = Instant::now();
    while node.present(&key(b"x")).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(20), "it is never tried again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_an_error_that_says_so() {
    let place = Place::new();
    let node = place.open("git-annex-remote-that-nobody-has".into(), &[]).await;
    let error = node.present(&key(b"x")).await.unwrap_err().to_string();
    assert!(error.contains("git-annex-remote-that-nobody-has") && error.contains("PATH"), "{error}");
}

#[tokio::test]
async fn changed_settings_reach_the_program() {
    let place = Place::new();
    let node = place.shell().await;
    put(&node, b"content").await.unwrap();
    drop(node);
    let moved = place.path("moved");
    std::fs::rename(place.path("shelf"), &moved).unwrap();
    let node = place.open(shell(), &[("directory", moved.to_str().unwrap())]).await;
    assert_eq!(get(&node, &key(b"content")).await.unwrap().unwrap(), b"content");
    assert_eq!(std::fs::read_to_string(moved.join(".initremote")).unwrap(), "init\ninit\n");
    assert_eq!(std::fs::read_to_string(moved.join(".creds")).unwrap(), "CREDS alice hunter 2\n");
}

#[tokio::test]
async fn files_for_a_program_are_called_as_their_keys() {
    // git-annex-remote-rclone stores a file under the name that it has.
    let place = Place::new();
    let node = place.shell().await;
    let key = put(&node, b"content").await.unwrap();
    get(&node, &key).await.unwrap().unwrap();
    let log = std::fs::read_to_string(place.shelf(".log")).unwrap();
    let files: Vec<&str> = log.lines().filter(|line| line.starts_with("TRANSFER ")).collect();
    assert_eq!(files.len(), 2);
    assert!(files.iter().all(|line| line.ends_with(&format!("/{key}"))), "{files:?}");
}

#[tokio::test]
async fn keys_that_the_protocol_cannot_carry_are_refused_before_anything_is_sent() {
    let place = Place::new();
    let node = place.shell().await;
    let spaced = Key::parse(b"WORM-s1-m1--a b").unwrap();
    assert!(!node.present(&spaced).await.unwrap());
    assert!(node.get(&spaced, 0).await.unwrap().is_none());
    assert!(contract::start(&node, &spaced).await.is_err());
    node.remove(&spaced).await.unwrap();
    assert_eq!(place.starts(), 0);
}
