//! Several processes on one Keep store at once, and killed ones.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use keep_store::entries::{KeepStore, Options};
use keep_store::store::dir::Create;
use tempfile::TempDir;

#[path = "../keep/tests/support/contents.rs"]
mod contents;
use contents::{collect, noise, put, small_blocks};

fn keep(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_annex-keep"));
    command.arg("keep").args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    keep(arguments).output().unwrap()
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn store(&self) -> String {
        self.dir.path().join("store").display().to_string()
    }

    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    fn put(&self, file: &str, name: &str) -> Child {
        keep(&["put", &self.store(), "--create", "--block-size", "50000", "--name", name, file])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

#[test]
fn many_processes_make_and_fill_one_new_store() {
    let place = Place::new();
    let content = noise(600_000, 1);
    let file = place.file("file", &content);
    let children: Vec<_> = (0..8).map(|n| place.put(&file, &format!("name{n}"))).collect();
    for child in children {
        succeeded(&child.wait_with_output().unwrap());
    }
    for n in 0..8 {
        let got = run(&["get", &place.store(), &format!("name{n}")]);
        succeeded(&got);
        assert!(got.stdout == content);
    }
    let status = run(&["status", &place.store(), "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["blocks"], 12 + 8, "content once, and a manifest for each name");
    assert_eq!((&status["entries"], &status["damaged"], &status["trash"]), (&8.into(), &0.into(), &0.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_of_processes_survive_removals_of_others() {
    let place = Place::new();
    let content = noise(200_000, 1);
    let file = place.file("file", &content);
    succeeded(&place.put(&file, "seed").wait_with_output().unwrap());
    let store = KeepStore::open(Path::new(&place.store()), Create::Never, Options::default()).await.unwrap();
    for round in 0..4 {
        let children: Vec<_> = (0..3).map(|n| place.put(&file, &format!("r{round}n{n}"))).collect();
        let waited = tokio::task::spawn_blocking(move || {
            children.into_iter().map(|child| child.wait_with_output().unwrap()).collect::<Vec<_>>()
        });
        let mut seed = true;
        while !waited.is_finished() {
            if seed {
                store.remove(b"files", b"seed").await.unwrap();
            } else {
                put(&store, b"files", b"seed", &content).await;
            }
            seed = !seed;
        }
        waited.await.unwrap().iter().for_each(succeeded);
        for n in 0..3 {
            let name = format!("r{round}n{n}");
            let read = store.read(b"files", name.as_bytes(), 0).await.unwrap().expect("it was stored");
            assert!(collect(read).await.unwrap() == content);
            store.remove(b"files", name.as_bytes()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn killed_uploads_leave_a_sound_store_and_lose_nothing_acknowledged() {
    let place = Place::new();
    let content = noise(20_000_000, 1);
    let file = place.file("file", &content);
    let small = place.file("small", b"small");
    succeeded(&place.put(&small, "before").wait_with_output().unwrap());
    for attempt in 0..8u64 {
        let mut child = place.put(&file, "large");
        std::thread::sleep(Duration::from_millis(20 + 60 * attempt));
        child.kill().unwrap();
        child.wait().unwrap();
        let store = KeepStore::open(Path::new(&place.store()), Create::Never, Options::default()).await.unwrap();
        for listed in store.entries(None).try_collect::<Vec<_>>().await.unwrap() {
            let read = store.read(b"files", &listed.name, 0).await.unwrap().expect("a listed entry can be read");
            collect(read).await.unwrap();
        }
        let status = store.status().await.unwrap();
        assert_eq!(status.damaged, 0);
        // What the killed process recorded is there to go on from.
        let upload = store.write(b"files", b"large").await.unwrap();
        let kept: Vec<Bytes> = upload.kept().await.unwrap().try_collect().await.unwrap();
        assert!(kept.concat() == content[..upload.offset() as usize]);
    }
    succeeded(&place.put(&file, "large").wait_with_output().unwrap());
    let got = run(&["get", &place.store(), "large"]);
    assert!(got.stdout == content);
}

#[test]
fn a_killed_process_leaves_whole_blocks_to_go_on_from() {
    let place = Place::new();
    let mut child = keep(&["put", &place.store(), "--create", "--block-size", "1000", "--name", "slow"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let content = noise(1_000_000, 1);
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, &content).unwrap();
    // The pipe stays open: the upload waits for more.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let offset = || {
        runtime.block_on(async {
            let store = KeepStore::open(Path::new(&place.store()), Create::Never, small_blocks()).await.unwrap();
            let upload = store.write(b"files", b"slow").await.unwrap();
            let kept: Vec<Bytes> = upload.kept().await.unwrap().try_collect().await.unwrap();
            assert!(kept.concat() == content[..upload.offset() as usize]);
            upload.offset()
        })
    };
    let mut tries = 0;
    while offset() < 500_000 && tries < 200 {
        std::thread::sleep(Duration::from_millis(50));
        tries += 1;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(offset() >= 500_000);
}

#[test]
fn memory_stays_bounded_whatever_the_size() {
    let place = Place::new();
    let file = place.dir.path().join("sparse");
    std::fs::File::create(&file).unwrap().set_len(700 << 20).unwrap();
    let file = file.display().to_string();
    let peak = |mut child: Child| {
        let status = format!("/proc/{}/status", child.id());
        let mut peak: u64 = 0;
        while child.try_wait().unwrap().is_none() {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
            let kib = line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default();
            peak = peak.max(kib);
            std::thread::sleep(Duration::from_millis(10));
        }
        succeeded(&child.wait_with_output().unwrap());
        assert!(peak > 0);
        peak >> 10
    };
    let putting = keep(&["put", &place.store(), "--create", &file]).stdout(Stdio::null()).spawn().unwrap();
    assert!(peak(putting) < 250, "MiB while storing");
    let getting = keep(&["get", &place.store(), "sparse"]).stdout(Stdio::null()).spawn().unwrap();
    assert!(peak(getting) < 250, "MiB while fetching");
}
