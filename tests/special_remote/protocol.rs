//! Negotiation, the requests beside transfers, and a host that does not keep to the protocol.

use super::Place;

#[test]
fn only_offered_extensions_are_used() {
    let place = Place::new();
    let mut host = place.start();
    host.send("EXTENSIONS INFO GETGITREMOTENAME UNAVAILABLERESPONSE TRANSFER-RETRIEVE-URL FROBNICATE");
    assert_eq!(host.line(), "EXTENSIONS INFO UNAVAILABLERESPONSE");
    assert_eq!(host.ask("INITREMOTE"), "INITREMOTE-SUCCESS");
    let mut host = place.start();
    host.send("EXTENSIONS ");
    assert_eq!(host.line(), "EXTENSIONS ");
    assert_eq!(host.ask("PREPARE"), "PREPARE-SUCCESS");
}

#[test]
fn an_old_host_sends_no_extensions() {
    let place = Place::new();
    let mut host = place.start();
    host.send("LISTCONFIGS");
    let mut names = Vec::new();
    loop {
        let line = host.line();
        if line == "CONFIGEND" {
            break;
        }
        let (name, description) = line.strip_prefix("CONFIG ").unwrap().split_once(' ').unwrap();
        assert!(!description.is_empty());
        names.push(name.to_owned());
    }
    let settings =
        "store keep api project collections collection replicas storageclasses cafile blocksize trashlifetime";
    assert_eq!(names, settings.split(' ').collect::<Vec<_>>());
    assert_eq!(host.ask("EXPORTSUPPORTED"), "EXPORTSUPPORTED-SUCCESS");
    assert_eq!(host.ask("IMPORTSUPPORTED"), "IMPORTSUPPORTED-SUCCESS");
    assert!(host.close().success());
}

#[test]
fn requests_without_a_store() {
    let place = Place::new();
    let mut host = place.prepared();
    assert_eq!(host.ask("GETCOST"), "COST 100");
    assert_eq!(host.ask("GETAVAILABILITY"), "AVAILABILITY LOCAL");
    assert_eq!(host.ask("GETORDERED"), "ORDERED");
    assert_eq!(host.ask("CLAIMURL http://example.com/"), "CLAIMURL-FAILURE");
    assert!(host.ask("CHECKURL http://example.com/").starts_with("CHECKURL-FAILURE "));
    assert_eq!(host.ask("FROBNICATE now"), "UNSUPPORTED-REQUEST");
    // EXPORT wants no answer: the next line answers the next request.
    host.send("EXPORT name");
    assert_eq!(host.ask("GETCOST"), "COST 100");
}

#[test]
fn initremote_makes_an_absolute_path_and_can_be_repeated() {
    let place = Place::new();
    let mut host = place.start();
    host.store = "below/../store".into();
    std::fs::create_dir(place.path("below")).unwrap();
    assert_eq!(host.ask("INITREMOTE"), "INITREMOTE-SUCCESS");
    let path = place.store().canonicalize().unwrap();
    assert_eq!(host.set, [format!("SETCONFIG store {}", path.display())]);
    assert_eq!(host.ask("INITREMOTE"), "INITREMOTE-SUCCESS");
    host.store = "".into();
    host.set.clear();
    assert_eq!(host.ask("INITREMOTE"), "INITREMOTE-SUCCESS");
    let path = place.path(".local/share/annex-keep/keep");
    assert_eq!(host.set, [format!("SETCONFIG store {}", path.display())]);
    assert!(path.is_dir());
}

#[test]
fn a_remote_without_a_store_cannot_be_prepared() {
    let place = Place::new();
    let mut host = place.start();
    host.store = "".into();
    assert!(host.ask("PREPARE").starts_with("PREPARE-FAILURE no store=, keep= or api= is set"));
    assert!(host.present("WORM--a").starts_with("CHECKPRESENT-UNKNOWN WORM--a "));
}

#[test]
fn a_store_that_goes_away_and_comes_back() {
    let place = Place::new();
    let mut host = place.start();
    host.send("EXTENSIONS UNAVAILABLERESPONSE");
    host.line();
    assert_eq!(host.ask("INITREMOTE"), "INITREMOTE-SUCCESS");
    std::fs::rename(place.store(), place.path("away")).unwrap();
    assert_eq!(host.ask("PREPARE"), "PREPARE-SUCCESS");
    assert_eq!(host.ask("GETAVAILABILITY"), "AVAILABILITY UNAVAILABLE");
    let store = place.store().display().to_string();
    for request in ["CHECKPRESENT WORM--a", "REMOVE WORM--a", "TRANSFER RETRIEVE WORM--a file"] {
        let answer = host.ask(request);
        assert!(answer.contains(&store), "{answer}");
        assert!(!answer.contains("SUCCESS") && !answer.contains("CHECKPRESENT-FAILURE"), "{answer}");
    }
    std::fs::rename(place.path("away"), place.store()).unwrap();
    assert_eq!(host.ask("GETAVAILABILITY"), "AVAILABILITY LOCAL");
    assert_eq!(host.present("WORM--a"), "CHECKPRESENT-FAILURE WORM--a");
    // Now the store is open, and goes away again.
    let file = place.file("file", b"content");
    assert_eq!(host.store("WORM--a", &file), "TRANSFER-SUCCESS STORE WORM--a");
    std::fs::rename(place.store(), place.path("away")).unwrap();
    for key in ["WORM--a", "WORM--b"] {
        let answer = host.present(key);
        assert!(answer.starts_with(&format!("CHECKPRESENT-UNKNOWN {key} ")), "{answer}");
        let answer = host.ask(&format!("REMOVE {key}"));
        assert!(answer.starts_with(&format!("REMOVE-FAILURE {key} ")), "{answer}");
    }
    let answer = host.store("WORM--b", &file);
    assert!(answer.starts_with("TRANSFER-FAILURE STORE WORM--b "), "{answer}");
    assert!(!place.store().exists());
    std::fs::rename(place.path("away"), place.store()).unwrap();
    assert_eq!(host.present("WORM--a"), "CHECKPRESENT-SUCCESS WORM--a");
    assert_eq!(host.present("WORM--b"), "CHECKPRESENT-FAILURE WORM--b");
}

#[test]
fn a_confused_host_is_told_and_left() {
    for line in ["VALUE nobody asked", "TRANSFER SIDEWAYS WORM--a file", "PREPARE now"] {
        let place = Place::new();
        let mut host = place.start();
        host.send(line);
        let answer = host.line();
        assert!(answer.starts_with("ERROR "), "{line}: {answer}");
        assert!(host.end().success());
    }
    let place = Place::new();
    let mut host = place.start();
    host.send("ERROR I am confused myself");
    assert!(host.end().success());
}
