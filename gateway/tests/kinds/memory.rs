//! Nodes in memory.

use annex_gateway::node::kind::{Opening, Shared};
use annex_gateway::node::{NodeSpec, Patience};
use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;

use crate::config;

#[test]
fn specs_are_read_as_they_are_written() {
    for text in ["memory:a", "memory:a?room=1000"] {
        let spec = NodeSpec::parse(text).unwrap();
        assert_eq!(spec.to_string(), text);
        assert!(spec.is_local() && !spec.needs_site());
    }
    assert_eq!(NodeSpec::parse("memory:a?room=1kB").unwrap().to_string(), "memory:a?room=1000");
    config("store = \"memory:a\"\nreserve = 5").unwrap();
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    let refused = |text: &str| NodeSpec::parse(text).unwrap_err();
    assert!(refused("memory:").contains("names no node"));
    assert!(refused("memory:a?room=much").contains("size"));
    assert!(refused("memory:a?color=red").contains("color"));
    assert!(config("store = \"memory:a\"\nknown_seconds = 5").unwrap_err().contains("known_seconds"));
    assert!(config("store = \"memory:a\"\nkeep = {}").unwrap_err().contains("only Keep stores"));
}

#[test]
fn nobody_is_told_of_them() {
    assert!(!NodeSpec::parse("tape:x").unwrap_err().contains("memory"));
}

#[tokio::test]
async fn whoever_opens_one_again_in_the_same_process_finds_its_content() {
    let shared = Shared::default();
    let node = |uuid: &[u8]| {
        let uuid = Uuid::parse(uuid).unwrap();
        let opening = Opening {
            name: "a".to_owned(),
            client: uuid.clone(),
            bypass: [].into(),
            uuid,
            clock: keep_store::base::clock::SystemClock::shared(),
            patience: Patience::default(),
            keep: keep_store::entries::Options::default(),
            site: None,
            shared: shared.clone(),
        };
        NodeSpec::parse("memory:a").unwrap().node(&opening)
    };
    const ONE: &[u8] = b"59a5eba9-ef36-4fc5-b11d-effc1bd2effc";
    const OTHER: &[u8] = b"1b0e07ac-3fb0-4d2c-8b39-7a2a2b4f7a11";
    let key = Key::parse(b"WORM-s0--empty").unwrap();
    let incoming = node(ONE).put(&key, &AssociatedFile::default()).await.unwrap();
    let annex_gateway::node::Incoming::Pieces(pieces) = incoming else { panic!("memory takes pieces") };
    pieces.upload.commit().await.unwrap();
    assert!(node(ONE).present(&key).await.unwrap());
    assert!(!node(OTHER).present(&key).await.unwrap(), "another repository's content is its own");
}
