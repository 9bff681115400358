//! Nodes of the P2P protocol, with real git-annex as their peer.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use annex_gateway::node::p2p::{Bounds, P2pNode, Program};
use annex_gateway::node::{Hold, Node, NodeError, Patience};
use annex_protocol::key::Key;

use super::contract::{self, Allow, AnyNode, bytes, get, key_of, put, remove_soon, send, start};
use super::peer::{Repository, current, old, patience, peer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn git_annex_shell_keeps_the_promises_of_a_node() {
    let repositories = Mutex::new(Vec::new());
    contract::suite(Allow::default(), async || {
        let repository = Repository::new(current());
        let node: AnyNode = Arc::new(repository.p2p_node());
        repositories.lock().unwrap().push(repository);
        node
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_git_annex_shell_keeps_the_promises_of_a_node() {
    let repositories = Mutex::new(Vec::new());
    contract::suite(Allow::default(), async || {
        let repository = Repository::new(old());
        let node: AnyNode = Arc::new(repository.p2p_node());
        repositories.lock().unwrap().push(repository);
        node
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn git_annex_p2phttp_keeps_the_promises_of_a_node() {
    let repositories = Mutex::new(Vec::new());
    contract::suite(Allow { a_failure_after_an_abort: true, ..Allow::default() }, async || {
        let repository = Repository::new(current());
        let server = repository.serve_http();
        let node: AnyNode = Arc::new(server.node(&repository.uuid));
        repositories.lock().unwrap().push((server, repository));
        node
    })
    .await;
}

fn short() -> Patience {
    let short = Duration::from_millis(500);
    Patience { connect: short, answer: short, progress: short }
}

/// A node whose peer is a shell script.
fn script(text: &str, patience: Patience) -> P2pNode {
    let words = ["sh", "-c", text].map(|word| word.as_bytes().to_vec());
    P2pNode::new(Program::new(words.to_vec()), peer("a-node"), patience, Bounds::default())
}

fn unreachable(error: NodeError) -> String {
    match error {
        NodeError::Unreachable(text) => text,
        other => panic!("not unreachable: {other:?}"),
    }
}

#[tokio::test]
async fn a_peer_that_hangs_is_not_reachable_after_a_while() {
    let key = key_of(b"x");
    let hello = "echo AUTH-SUCCESS a-node; read version; echo VERSION 4; read request;";
    for (text, says) in [
        ("sleep 100", "did not answer"),
        ("echo AUTH-SUCCESS a-node; sleep 100", "did not answer"),
        (&format!("{hello} sleep 100"), "did not answer"),
        (&format!("{hello} printf SUCC; sleep 100"), "did not answer"),
        (&format!("{hello} echo 'the disk is gone' >&2; exit 1"), "the disk is gone"),
        ("echo 'Connection refused' >&2; exit 255", "Connection refused"),
        ("echo hello there", "does not speak"),
    ] {
        let started = Instant::now();
        let error = unreachable(script(text, short()).present(&key).await.unwrap_err());
        assert!(error.contains(says), "{text}: {error}");
        assert!(started.elapsed() < Duration::from_secs(20), "{text}");
    }
    let node = P2pNode::new(Program::new(vec![b"no-such-program".to_vec()]), peer("x"), short(), Bounds::default());
    assert!(unreachable(node.present(&key).await.unwrap_err()).contains("no-such-program"));
}

#[tokio::test]
async fn content_that_stops_coming_or_is_not_vouched_for_ends_in_an_error() {
    let content = bytes(1000, 1);
    let key = key_of(&content);
    let hello = "echo AUTH-SUCCESS a-node; read version; echo VERSION 4; read request;";
    for (text, came) in [
        (format!("{hello} echo DATA 1000; head -c 400 /dev/zero; sleep 100"), 0),
        (format!("{hello} echo DATA 1000; head -c 400 /dev/zero; exit 0"), 0),
        (format!("{hello} echo DATA 1000; head -c 1000 /dev/zero; echo INVALID; read outcome"), 0),
        (format!("{hello} echo DATA 1000; head -c 400 /dev/zero; sleep 0.2; head -c 400 /dev/zero; exit 0"), 400),
    ] {
        let node: AnyNode = Arc::new(script(&text, short()));
        let mut stream = node.get(&key, 0).await.unwrap().unwrap().stream;
        let (mut length, mut failed) = (0, false);
        while let Some(part) = futures_util::StreamExt::next(&mut stream).await {
            match part {
                Ok(bytes) => length += bytes.len(),
                Err(_) => failed = true,
            }
        }
        assert!(failed && length == came, "{text}: {length} bytes");
    }
    let node = script(&format!("{hello} echo DATA 999; sleep 100"), short());
    assert!(node.get(&key, 0).await.is_err(), "a copy of another size");
}

#[tokio::test]
async fn a_peer_that_takes_no_content_is_not_reachable_and_one_that_breaks_off_says_why() {
    let content = bytes(5_000_000, 1);
    let key = key_of(&content);
    let hello = "echo AUTH-SUCCESS a-node; read version; echo VERSION 4; read request; echo PUT-FROM 0; read data;";
    for (text, says) in [
        (format!("{hello} sleep 100"), "took no content"),
        (
            format!("{hello} head -c 100000 >/dev/null; echo 'not enough free space, need 5 MB more' >&2; exit 1"),
            "full",
        ),
    ] {
        let node: AnyNode = Arc::new(script(&text, short()));
        let error = put(&node, &key, &content).await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn another_repository_than_the_one_configured_is_refused() {
    let node = script("echo AUTH-SUCCESS another; sleep 100", short());
    let error = node.present(&key_of(b"x")).await.unwrap_err().to_string();
    assert!(error.contains("another") && error.contains("a-node"), "{error}");
}

#[tokio::test]
async fn requests_share_a_connection_and_a_broken_one_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    // Answers twice, then ends.
    let text = format!(
        "echo $$ >>'{}'; echo AUTH-SUCCESS a-node; read version; echo VERSION 4; read r; echo SUCCESS; read r; echo SUCCESS",
        log.display()
    );
    let node = script(&text, patience());
    for wanted in [1, 1, 2, 2, 3] {
        assert!(node.present(&key_of(b"x")).await.unwrap());
        // The program may still be on its way out.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), wanted);
    }
}

/// Locks a key that somebody tried to remove until a moment ago.
async fn lock_soon(node: &AnyNode, key: &Key) -> Box<dyn Hold> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(hold) = node.lock(key).await.unwrap() {
            return hold;
        }
        assert!(Instant::now() < deadline, "it stays locked");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locked_content_is_not_removed_over_ssh_or_http() {
    let repository = Repository::new(current());
    let server = repository.serve_http();
    let nodes: [AnyNode; 2] = [Arc::new(repository.p2p_node()), Arc::new(server.node(&repository.uuid))];
    let content = bytes(1000, 1);
    let key = key_of(&content);
    put(&nodes[0], &key, &content).await.unwrap();
    for (holder, remover) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let mut hold = lock_soon(&nodes[holder], &key).await;
        for _ in 0..2 {
            let error = nodes[remover].remove(&key).await.unwrap_err();
            assert!(matches!(&error, NodeError::Locked(_)), "{holder} {remover}: {error:?}");
            assert!(nodes[remover].present(&key).await.unwrap());
            hold.renew().await.unwrap();
        }
        hold.release().await.unwrap();
    }
    remove_soon(&nodes[1], &key).await;
    assert!(!nodes[0].present(&key).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_away_and_comes_back_is_used_again() {
    let repository = Repository::new(current());
    let content = bytes(1000, 1);
    let key = key_of(&content);
    let server = repository.serve_http();
    let node: AnyNode = Arc::new(server.node(&repository.uuid));
    put(&node, &key, &content).await.unwrap();
    let stranger: AnyNode = Arc::new(server.node("0bbb1111-2222-3333-4444-555566667777"));
    let error = stranger.present(&key).await.unwrap_err().to_string();
    assert!(error.contains("0bbb1111"), "{error}");
    let port = server.port;
    drop(server);
    unreachable(node.present(&key).await.unwrap_err());
    unreachable(node.get(&key, 0).await.err().unwrap());
    unreachable(start(&node, &key).await.err().unwrap());
    let server = repository.serve_http_on(Some(port));
    assert!(node.present(&key).await.unwrap());
    assert!(get(&node, &key, 0).await.unwrap().1 == content);
    // Once more, with the connections to the first one still kept.
    drop(server);
    let _server = repository.serve_http_on(Some(port));
    assert!(node.present(&key).await.unwrap());
}

/// Sends a signal to the processes that name the repository in their command line, by their process ids.
fn signal(repository: &Repository, signal: nix::sys::signal::Signal) -> usize {
    let name = repository.path("repo");
    let mut found = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if line.split(|byte| *byte == 0).any(|word| word == name.as_os_str().as_encoded_bytes()) {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
            found += 1;
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_git_annex_shell_that_is_stopped_or_killed_costs_its_requests_and_no_more() {
    use nix::sys::signal::Signal;
    let repository = Repository::new(current());
    let wait = Duration::from_secs(3);
    let patience = Patience { connect: wait * 10, answer: wait, progress: wait };
    let node = P2pNode::new(Program::new(repository.shell()), peer(&repository.uuid), patience, Bounds::default());
    let node: AnyNode = Arc::new(node);
    let content = bytes(8_000_000, 1);
    let key = key_of(&content);

    // Stopped while it waits for a request, for content, and while it sends.
    assert!(!node.present(&key).await.unwrap());
    assert!(signal(&repository, Signal::SIGSTOP) > 0);
    unreachable(node.present(&key).await.unwrap_err());
    let mut pieces = start(&node, &key).await.unwrap();
    send(&mut pieces, &content, 100_000, 50_000).await.unwrap();
    assert!(signal(&repository, Signal::SIGSTOP) > 0);
    unreachable(send(&mut pieces, &content, content.len(), 50_000).await.unwrap_err());
    drop(pieces);
    signal(&repository, Signal::SIGKILL);

    // Killed between two pieces, and before the last byte: never is the content said to be there, and not there.
    for end in [4_000_000, content.len()] {
        let mut pieces = start(&node, &key).await.unwrap();
        send(&mut pieces, &content, end, 50_000).await.unwrap();
        signal(&repository, Signal::SIGKILL);
        assert!(pieces.upload.commit().await.is_err());
        assert!(!node.present(&key).await.unwrap());
    }
    put(&node, &key, &content).await.unwrap();
    let mut stream = node.get(&key, 0).await.unwrap().unwrap().stream;
    signal(&repository, Signal::SIGKILL);
    let mut last = None;
    while let Some(part) = futures_util::StreamExt::next(&mut stream).await {
        last = Some(part);
    }
    assert!(last.unwrap().is_err());
    assert!(get(&node, &key, 0).await.unwrap().1 == content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_suspended_upload_left_is_not_sent_again() {
    let repository = Repository::new(current());
    let server = repository.serve_http();
    let nodes: [AnyNode; 2] = [Arc::new(repository.p2p_node()), Arc::new(server.node(&repository.uuid))];
    let content = bytes(2_000_000, 1);
    let key = key_of(&content);
    for (node, end) in [(&nodes[0], 500_000), (&nodes[1], 1_000_000)] {
        let mut pieces = start(node, &key).await.unwrap();
        send(&mut pieces, &content, end, 50_000).await.unwrap();
        pieces.upload.suspend().await.unwrap();
    }
    // git-annex keeps it in one file for each key.
    let partial = repository.run(&["find", "repo/annex/tmp", "-type", "f", "-size", "+900k"], ".");
    assert!(!partial.is_empty(), "nothing was kept");
    put(&nodes[0], &key, &content).await.unwrap();
    assert!(get(&nodes[1], &key, 0).await.unwrap().1 == content);
}

#[tokio::test]
async fn a_server_without_versions_is_spoken_to_as_it_understands() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("content").display().to_string();
    let text = format!(
        "echo AUTH-SUCCESS a-node; read version; echo ERROR unknown command; while read word rest; do case $word in \
         PUT) echo PUT-FROM 0;; DATA) head -c $rest >{file}; echo SUCCESS;; \
         CHECKPRESENT) if [ -e {file} ]; then echo SUCCESS; else echo FAILURE; fi;; \
         GET) echo DATA $(stat -c %s {file}); cat {file}; read outcome; [ \"$outcome\" = SUCCESS ] || exit 1;; \
         *) echo ERROR $word is unknown; exit 1;; esac; done"
    );
    let node: AnyNode = Arc::new(script(&text, patience()));
    for content in [bytes(100_000, 1), vec![7]] {
        let _ = std::fs::remove_file(&file);
        let key = key_of(&content);
        let mut pieces = start(&node, &key).await.unwrap();
        send(&mut pieces, &content, content.len(), 30_000).await.unwrap();
        assert!(std::fs::read(&file).unwrap_or_default().len() < content.len(), "all was sent before the commit");
        pieces.upload.commit().await.unwrap();
        assert!(node.present(&key).await.unwrap());
        assert!(get(&node, &key, 0).await == Some((content.len() as u64, content)));
    }
}

#[tokio::test]
async fn connections_are_few_and_idle_ones_are_closed() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let text = format!(
        "echo start >>{0}; echo AUTH-SUCCESS a-node; read version; echo VERSION 4; \
         while read request; do sleep 0.05; echo SUCCESS; done; echo end >>{0}",
        log.display()
    );
    let words = ["sh", "-c", &text].map(|word| word.as_bytes().to_vec());
    let bounds = Bounds { requests: 3, idle_time: Duration::from_millis(300), ..Bounds::default() };
    let node = P2pNode::new(Program::new(words.to_vec()), peer("a-node"), patience(), bounds);
    let key = key_of(b"x");
    let asked = (0..20).map(|_| node.present(&key));
    for answer in futures_util::future::join_all(asked).await {
        assert!(answer.unwrap());
    }
    let count = |word: &str| std::fs::read_to_string(&log).unwrap().lines().filter(|line| *line == word).count();
    assert_eq!(count("start"), 3);
    let deadline = Instant::now() + Duration::from_secs(30);
    while count("end") < 3 {
        assert!(Instant::now() < deadline, "idle connections stay open");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
