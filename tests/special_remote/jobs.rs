//! ASYNC: many jobs in one process.

use std::collections::{HashMap, HashSet};
use std::fs;

use super::{Host, Place};

fn with_jobs(place: &Place) -> Host {
    let mut host = place.start();
    host.send("EXTENSIONS INFO ASYNC");
    assert_eq!(host.line(), "EXTENSIONS INFO ASYNC");
    for request in ["INITREMOTE", "PREPARE"] {
        host.send(format!("J 1 {request}"));
        assert_eq!(host.answer("J 1 "), format!("{request}-SUCCESS"));
    }
    host
}

#[test]
fn a_job_that_waits_for_the_host_holds_up_nobody() {
    let place = Place::new();
    let mut host = with_jobs(&place);
    host.send("J 1 INITREMOTE");
    assert_eq!(host.line(), "J 1 GETCONFIG store");
    host.send("J 2 CHECKPRESENT WORM--a");
    assert_eq!(host.line(), "J 2 CHECKPRESENT-FAILURE WORM--a");
    host.send("J 7 FROBNICATE");
    assert_eq!(host.line(), "J 7 UNSUPPORTED-REQUEST");
    let store = place.store();
    host.send(format!("J 1 VALUE {}", store.display()));
    assert_eq!(host.answer("J 1 "), "INITREMOTE-SUCCESS");
    assert!(host.close().success());
}

#[test]
fn jobs_run_at_once_and_answers_find_their_way() {
    const JOBS: usize = 8;
    const KEYS: usize = 48;
    let place = Place::new();
    let mut host = with_jobs(&place);
    let content = |key: usize| format!("{key} ").repeat(100_000).into_bytes();
    let mut todo: Vec<usize> = (0..KEYS).collect();
    let mut running = HashMap::new();
    let mut done = HashSet::new();
    let mut most = 0;
    while done.len() < KEYS {
        for job in 1..=JOBS {
            if !running.contains_key(&job)
                && let Some(key) = todo.pop()
            {
                let file = place.file(&format!("file {key}"), &content(key));
                host.send(format!("J {job} TRANSFER STORE WORM--{key} {}", file.display()));
                running.insert(job, key);
            }
        }
        let line = host.line();
        let (job, message) = line.strip_prefix("J ").unwrap().split_once(' ').unwrap();
        let job: usize = job.parse().unwrap();
        if message.starts_with("PROGRESS ") {
            most = most.max(running.len());
            continue;
        }
        let key = running.remove(&job).unwrap();
        assert_eq!(message, format!("TRANSFER-SUCCESS STORE WORM--{key}"));
        done.insert(key);
    }
    assert_eq!(most, JOBS);
    for key in 0..KEYS {
        let copy = place.path("copy");
        host.send(format!("J 3 TRANSFER RETRIEVE WORM--{key} {}", copy.display()));
        assert_eq!(host.answer("J 3 "), format!("TRANSFER-SUCCESS RETRIEVE WORM--{key}"));
        assert_eq!(fs::read(&copy).unwrap(), content(key));
        fs::remove_file(copy).unwrap();
    }
}

#[test]
fn a_line_without_a_job_ends_it_all() {
    let place = Place::new();
    let mut host = with_jobs(&place);
    host.send("GETCOST");
    assert!(host.line().starts_with("ERROR a line without a job number"));
    assert!(host.end().success());
    let mut host = with_jobs(&place);
    host.send("ERROR");
    host.send("ERROR over");
    assert!(host.end().success());
}

#[test]
fn a_host_that_does_not_wait_for_answers_is_refused() {
    let place = Place::new();
    let mut host = with_jobs(&place);
    host.send("J 1 INITREMOTE");
    assert_eq!(host.line(), "J 1 GETCONFIG store");
    // The job waits for one answer; nothing takes the requests that pile up behind it.
    let mut heap = Vec::new();
    for _ in 0..50 {
        heap.extend_from_slice(b"J 2 INITREMOTE\n");
    }
    host.send(heap);
    loop {
        let line = host.line();
        if line.starts_with("ERROR ") {
            break;
        }
        assert!(line.starts_with("J "), "{line}");
    }
    assert!(host.end().success());
}
