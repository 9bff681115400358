//! Nodes on this machine's disks: Keep stores, git-annex repositories, directories.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use annex_gateway::node::annex::AnnexNode;
use annex_gateway::node::directory::DirectoryNode;
use annex_gateway::node::keep::KeepNode;
use annex_gateway::node::{Node, NodeError, Patience};
use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;
use keep_store::base::clock::SystemClock;
use keep_store::base::disk::FileLock;
use keep_store::entries::{KeepStore, Options};
use keep_store::store::dir::Create;

use crate::contract;

const UUID: &str = "5a5b2f0c-8d4f-4bb1-a0b8-6f6a3f0f2a11";

#[tokio::test]
async fn a_commit_that_comes_too_early_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    crate::short::a_short_upload_is_not_the_content(Arc::new(directory(dir.path(), Some(1 << 20)).await)).await;
    let dir = tempfile::tempdir().unwrap();
    crate::short::a_short_upload_is_not_the_content(Arc::new(repository(dir.path(), &[], "10").await)).await;
}

/// Runs the contract on nodes that are made in fresh folders.
async fn keeps_its_promises<N: Node + 'static>(make: impl AsyncFn(&Path) -> N) {
    let dir = tempfile::tempdir().unwrap();
    let number = AtomicU32::new(0);
    contract::suite(contract::Allow::default(), async || {
        let folder = dir.path().join(number.fetch_add(1, Ordering::Relaxed).to_string());
        std::fs::create_dir(&folder).unwrap();
        Arc::new(make(&folder).await) as Arc<dyn Node>
    })
    .await;
}

fn uuid() -> Uuid {
    Uuid::parse(UUID.as_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keep_store_keeps_the_promises_of_a_node() {
    keeps_its_promises(async |folder| {
        let store = KeepStore::open(folder, Create::IfMissing, Options::default()).await.unwrap();
        KeepNode::new(store, uuid())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_keeps_the_promises_of_a_node() {
    keeps_its_promises(async |folder| directory(folder, None).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunked_directory_keeps_the_promises_of_a_node() {
    keeps_its_promises(async |folder| directory(folder, Some(1 << 20)).await).await;
    keeps_its_promises(async |folder| directory(folder, Some(99_991)).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bare_repository_keeps_the_promises_of_a_node() {
    keeps_its_promises(async |folder| repository(folder, &["--bare"], "10").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_with_a_work_tree_keeps_the_promises_of_a_node() {
    keeps_its_promises(async |folder| repository(folder, &[], "10").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_of_version_8_keeps_the_promises_of_a_node() {
    keeps_its_promises(async |folder| repository(folder, &[], "8").await).await;
}

async fn directory(folder: &Path, chunk: Option<u64>) -> DirectoryNode {
    DirectoryNode::open(folder, chunk, Patience::default(), &SystemClock::shared()).await.unwrap()
}

async fn repository(folder: &Path, how: &[&str], version: &str) -> AnnexNode {
    git(folder, &[&["init", "--quiet"], how].concat());
    git(folder, &["config", "annex.uuid", UUID]);
    git(folder, &["config", "annex.version", version]);
    AnnexNode::open(folder, &uuid(), Patience::default(), &SystemClock::shared()).await.unwrap()
}

fn git(folder: &Path, arguments: &[&str]) {
    assert!(Command::new("git").arg("-C").arg(folder).args(arguments).status().unwrap().success());
}

#[tokio::test]
async fn a_repository_that_does_not_answer_is_not_reachable() {
    let dir = tempfile::tempdir().unwrap();
    let deadlines = Patience { answer: Duration::from_millis(300), ..Patience::default() };
    drop(repository(dir.path(), &["--bare"], "10").await);
    let node: contract::AnyNode =
        Arc::new(AnnexNode::open(dir.path(), &uuid(), deadlines, &SystemClock::shared()).await.unwrap());
    let key = Key::parse(b"WORM-s0--empty").unwrap();
    // Somebody keeps the git-annex branch locked.
    let lock = FileLock::wait(&dir.path().join("annex/journal.lck")).unwrap();
    let stored = contract::start(&node, &key).await.unwrap().upload.commit().await;
    assert!(matches!(stored, Err(NodeError::Unreachable(_))), "{stored:?}");
    let removed = node.remove(&key).await;
    assert!(matches!(removed, Err(NodeError::Unreachable(_))), "{removed:?}");
    drop(lock);
    node.remove(&key).await.unwrap();
    assert!(!node.present(&key).await.unwrap());
}

#[tokio::test]
async fn a_directory_whose_place_was_taken_by_another_is_not_asked() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("d");
    std::fs::create_dir(&root).unwrap();
    let node: contract::AnyNode = Arc::new(directory(&root, None).await);
    let key = Key::parse(b"WORM-s0--empty").unwrap();
    assert!(!node.present(&key).await.unwrap());
    std::fs::rename(&root, dir.path().join("away")).unwrap();
    assert!(matches!(node.present(&key).await, Err(NodeError::Unreachable(_))));
    std::fs::create_dir(&root).unwrap();
    assert!(matches!(node.present(&key).await, Err(NodeError::Unreachable(_))));
    assert!(matches!(node.remove(&key).await, Err(NodeError::Unreachable(_))));
    assert!(matches!(contract::start(&node, &key).await.map(drop), Err(NodeError::Unreachable(_))));
    // The same one in another place (as when its disk is mounted anew) is known again.
    std::fs::remove_dir(&root).unwrap();
    assert!(Command::new("cp").arg("-r").arg(dir.path().join("away")).arg(&root).status().unwrap().success());
    assert!(!node.present(&key).await.unwrap());
    contract::start(&node, &key).await.unwrap().upload.commit().await.unwrap();
    assert!(node.present(&key).await.unwrap());
}

#[tokio::test]
async fn the_end_of_one_hold_takes_nothing_from_another() {
    let dir = tempfile::tempdir().unwrap();
    let node: contract::AnyNode = Arc::new(repository(dir.path(), &[], "10").await);
    // As another process has it.
    let other = AnnexNode::open(dir.path(), &uuid(), Patience::default(), &SystemClock::shared()).await.unwrap();
    let key = Key::parse(b"WORM-s0--empty").unwrap();
    let store = async || drop(contract::start(&node, &key).await.unwrap().upload.commit().await.unwrap());
    store().await;

    // Given back in any order, nothing stays.
    let mut first = node.lock(&key).await.unwrap().unwrap();
    let mut second = node.lock(&key).await.unwrap().unwrap();
    first.renew().await.unwrap();
    second.renew().await.unwrap();
    second.release().await.unwrap();
    node.remove(&key).await.unwrap_err();
    first.release().await.unwrap();
    node.remove(&key).await.unwrap();

    // One that was never given back lasts, whether it came before or after one that was.
    for killed_first in [true, false] {
        store().await;
        let (killed, ended) = if killed_first {
            let killed = other.lock(&key).await.unwrap().unwrap();
            (killed, node.lock(&key).await.unwrap().unwrap())
        } else {
            let ended = node.lock(&key).await.unwrap().unwrap();
            (other.lock(&key).await.unwrap().unwrap(), ended)
        };
        drop(killed);
        ended.release().await.unwrap();
        let error = node.remove(&key).await.unwrap_err().to_string();
        assert!(error.contains("locked against removal"), "{error}");
        assert!(node.present(&key).await.unwrap());
        let retention = find(dir.path(), "WORM-s0--empty.rtm");
        std::fs::remove_file(retention).unwrap();
        node.remove(&key).await.unwrap();
    }
}

fn find(folder: &Path, name: &str) -> std::path::PathBuf {
    let out = Command::new("find").arg(folder).args(["-name", name]).output().unwrap().stdout;
    String::from_utf8(out).unwrap().trim().into()
}
