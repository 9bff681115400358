//! Content in and out: what is refused, what is resumed, what is left behind.

use std::fs;

use super::Place;

const HELLO: &str = "SHA256E-s6--5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03.txt";

#[test]
fn a_round_trip() {
    let place = Place::new();
    let mut host = place.prepared();
    let file = place.file("a file", b"hello\n");
    assert_eq!(host.present(HELLO), format!("CHECKPRESENT-FAILURE {HELLO}"));
    assert_eq!(host.store(HELLO, &file), format!("TRANSFER-SUCCESS STORE {HELLO}"));
    assert_eq!(host.store(HELLO, &file), format!("TRANSFER-SUCCESS STORE {HELLO}"));
    assert_eq!(host.present(HELLO), format!("CHECKPRESENT-SUCCESS {HELLO}"));
    assert!(host.ask(&format!("WHEREIS {HELLO}")).starts_with(&format!("WHEREIS-SUCCESS {}", place.store().display())));
    let copy = place.path("a copy");
    assert_eq!(host.retrieve(HELLO, &copy), format!("TRANSFER-SUCCESS RETRIEVE {HELLO}"));
    assert_eq!(fs::read(&copy).unwrap(), b"hello\n");
    assert_eq!(host.ask(&format!("REMOVE {HELLO}")), format!("REMOVE-SUCCESS {HELLO}"));
    assert_eq!(host.ask(&format!("REMOVE {HELLO}")), format!("REMOVE-SUCCESS {HELLO}"));
    assert_eq!(host.present(HELLO), format!("CHECKPRESENT-FAILURE {HELLO}"));
    assert_eq!(host.ask(&format!("WHEREIS {HELLO}")), "WHEREIS-FAILURE");
    assert!(host.retrieve(HELLO, &copy).starts_with(&format!("TRANSFER-FAILURE RETRIEVE {HELLO} ")));
    assert!(host.close().success());
}

#[test]
fn what_is_not_the_keys_content_is_refused() {
    let place = Place::new();
    let mut host = place.prepared();
    for (content, reason) in [(&b"hullo\n"[..], "does not match its key"), (b"hello", "has 5 bytes, its key 6")] {
        let answer = host.store(HELLO, &place.file("file", content));
        assert!(answer.starts_with(&format!("TRANSFER-FAILURE STORE {HELLO} ")), "{answer}");
        assert!(answer.contains(reason), "{answer}");
        assert_eq!(host.present(HELLO), format!("CHECKPRESENT-FAILURE {HELLO}"));
    }
    let answer = host.store(HELLO, &place.path("nothing here"));
    assert!(answer.contains("nothing here"), "{answer}");
    let answer = host.store("nokey", &place.file("file", b"x"));
    assert_eq!(answer, "TRANSFER-FAILURE STORE nokey not a git-annex key");
}

#[test]
fn chunks_and_encrypted_objects_have_no_hash_to_check() {
    let place = Place::new();
    let mut host = place.prepared();
    let sum = HELLO.rsplit_once("--").unwrap().1;
    for (key, content) in [
        (format!("SHA256E-s6-S4-C1--{sum}"), &b"hell"[..]),
        (format!("SHA256E-s6-S4-C2--{sum}"), b"o\n"),
        ("GPGHMACSHA1--b1946ac92492d2347c6235b4d2611184b1946ac9".into(), b"anything"),
        ("GPGHMACSHA1--0000000000000000000000000000000000000000".into(), b""),
    ] {
        let copy = place.path("copy");
        assert_eq!(host.store(&key, &place.file("file", content)), format!("TRANSFER-SUCCESS STORE {key}"));
        assert_eq!(host.retrieve(&key, &copy), format!("TRANSFER-SUCCESS RETRIEVE {key}"));
        assert_eq!(fs::read(&copy).unwrap(), content);
    }
    let chunk = format!("SHA256E-s6-S4-C2--{sum}");
    let answer = host.store(&chunk, &place.file("file", b"o\nx"));
    assert!(answer.contains("has 3 bytes, its key 2"), "{answer}");
}

/// Bytes that tell whether a part was kept or written again.
#[test]
fn a_shorter_file_is_continued_and_any_other_written_anew() {
    let place = Place::new();
    let mut host = place.prepared();
    let content = b"0123456789";
    let encrypted = "GPGHMACSHA1--b1946ac92492d2347c6235b4d2611184b1946ac9";
    for key in ["WORM-s10--a", encrypted] {
        assert_eq!(host.store(key, &place.file("file", content)), format!("TRANSFER-SUCCESS STORE {key}"));
        let mut retrieved = |there: &[u8]| {
            let copy = place.file("copy", there);
            assert_eq!(host.retrieve(key, &copy), format!("TRANSFER-SUCCESS RETRIEVE {key}"));
            fs::read(&copy).unwrap()
        };
        assert_eq!(retrieved(b""), content);
        assert_eq!(retrieved(b"xxxxxxxxxx"), content);
        assert_eq!(retrieved(b"xxxxxxxxxxxxxxx"), content);
        // A part of an encrypted object may come from another encryption of it.
        assert_eq!(retrieved(b"xxxx"), if key == encrypted { content } else { b"xxxx456789" });
    }
}

#[test]
fn progress_counts_the_whole_file() {
    let place = Place::new();
    let mut host = place.prepared();
    let content = vec![7; 3_000_000];
    host.store("WORM-s3000000--a", &place.file("file", &content));
    let copy = place.file("copy", &content[..1_000_000]);
    host.send(format!("TRANSFER RETRIEVE WORM-s3000000--a {}", copy.display()));
    let mut last = 1_000_000;
    loop {
        let line = host.line();
        let Some(bytes) = line.strip_prefix("PROGRESS ") else {
            assert_eq!(line, "TRANSFER-SUCCESS RETRIEVE WORM-s3000000--a");
            break;
        };
        let bytes: u64 = bytes.parse().unwrap();
        assert!(bytes > last, "{bytes} after {last}");
        last = bytes;
    }
    assert_eq!(last, 3_000_000);
    assert_eq!(fs::read(&copy).unwrap(), content);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_not_stored() {
    let place = Place::new();
    let mut host = place.prepared();
    for (key, size) in [("WORM--shrinks", 1000), ("WORM--grows", 3 << 30)] {
        let path = place.file("file", b"");
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(1 << 30).unwrap();
        host.send(format!("TRANSFER STORE {key} {}", path.display()));
        assert!(host.line().starts_with("PROGRESS "));
        file.set_len(size).unwrap();
        let answer = host.answer("");
        assert!(answer.starts_with(&format!("TRANSFER-FAILURE STORE {key} ")), "{answer}");
        assert!(answer.contains("changed while it was read"), "{answer}");
        assert_eq!(host.present(key), format!("CHECKPRESENT-FAILURE {key}"));
    }
}

#[test]
fn keys_are_echoed_as_they_came() {
    let place = Place::new();
    let mut host = place.prepared();
    let file = place.file("file", b"content");
    assert_eq!(host.store("WORM-s007--a%&:/b", &file), "TRANSFER-SUCCESS STORE WORM-s007--a%&:/b");
    assert_eq!(host.present("WORM-s7--a%&:/b"), "CHECKPRESENT-SUCCESS WORM-s7--a%&:/b");
    host.send(b"CHECKPRESENT WORM--\xff\xfe");
    assert_eq!(host.bytes(), b"CHECKPRESENT-FAILURE WORM--\xff\xfe");
}

#[test]
fn another_remote_has_only_what_was_stored_through_it() {
    let place = Place::new();
    let mut host = place.prepared();
    host.store(HELLO, &place.file("file", b"hello\n"));
    let mut other = place.start();
    other.send("PREPARE");
    loop {
        let line = other.line();
        match line.as_str() {
            "GETUUID" => other.send("VALUE 0bbb1111-2222-3333-4444-555566667777"),
            "PREPARE-SUCCESS" => break,
            question => {
                let reply = other.reply(question).unwrap();
                other.send(reply);
            }
        }
    }
    assert_eq!(other.present(HELLO), format!("CHECKPRESENT-FAILURE {HELLO}"));
    assert_eq!(other.ask(&format!("REMOVE {HELLO}")), format!("REMOVE-SUCCESS {HELLO}"));
    assert_eq!(host.present(HELLO), format!("CHECKPRESENT-SUCCESS {HELLO}"));
}

#[test]
fn a_host_that_goes_away_ends_the_program_and_stores_nothing() {
    let place = Place::new();
    let path = place.file("file", b"");
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(2 << 30).unwrap();
    let mut host = place.prepared();
    host.send(format!("TRANSFER STORE WORM--a {}", path.display()));
    assert!(host.line().starts_with("PROGRESS "));
    assert!(host.close().success());
    let mut host = place.prepared();
    host.send(format!("TRANSFER STORE WORM--a {}", path.display()));
    assert!(host.line().starts_with("PROGRESS "));
    host.program.kill().unwrap();
    host.end();
    let mut host = place.prepared();
    assert_eq!(host.present("WORM--a"), "CHECKPRESENT-FAILURE WORM--a");
    assert_eq!(host.store("WORM--a", &place.file("small", b"x")), "TRANSFER-SUCCESS STORE WORM--a");
}
