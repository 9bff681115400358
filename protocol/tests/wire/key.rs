//! git-annex keys.

use std::collections::BTreeSet;

use annex_protocol::key::{Key, KeyError, Mac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use crate::strategy::{key, key_text};

#[derive(Deserialize)]
struct Vectors {
    keys: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    key: String,
    valid: bool,
    #[serde(flatten)]
    recorded: Option<Recorded>,
}

#[derive(Deserialize)]
struct Recorded {
    canonical: String,
    backend: String,
    size: Value,
    chunk_size: Value,
    chunk_num: Value,
    name: String,
    hashdirmixed: String,
    hashdirlower: String,
    filename: String,
    location_log: String,
}

#[test]
fn keys_recorded_from_git_annex() {
    let vectors: Vectors = serde_json::from_str(include_str!("../vectors/keys.json")).unwrap();
    assert_eq!(vectors.keys.len(), 54);
    for Vector { key: text, valid, recorded } in vectors.keys {
        let parsed = Key::parse(text.as_bytes());
        assert_eq!(parsed.is_ok(), valid, "{text}");
        let Ok(key) = parsed else { continue };
        let recorded = recorded.unwrap_or_else(|| panic!("{text} has no fields"));
        assert_eq!(key.as_bytes(), recorded.canonical.as_bytes());
        assert_eq!(key.backend(), recorded.backend.as_bytes());
        assert_eq!(key.name(), recorded.name.as_bytes(), "{text}");
        assert_eq!(key.size(), recorded.size.as_u64(), "{text}");
        assert_eq!(key.chunk(), recorded.chunk_size.as_u64().zip(recorded.chunk_num.as_u64()), "{text}");
        assert_eq!(key.hash_dir_mixed(), recorded.hashdirmixed, "{text}");
        assert_eq!(key.hash_dir_lower(), recorded.hashdirlower, "{text}");
        assert_eq!(key.file_name(), recorded.filename.as_bytes(), "{text}");
        assert_eq!(key.branch_path(".log"), recorded.location_log.as_bytes(), "{text}");
        assert_eq!(Key::from_file_name(recorded.filename.as_bytes()), Ok(key));
    }
}

#[derive(Deserialize)]
struct EncryptedVectors {
    remotes: Vec<EncryptedRemote>,
}

#[derive(Deserialize)]
struct EncryptedRemote {
    mac: String,
    cipher: String,
    keys: Vec<EncryptedKey>,
}

#[derive(Deserialize)]
struct EncryptedKey {
    key: String,
    encrypted_key: String,
}

#[test]
fn encrypted_names_recorded_from_git_annex() {
    let vectors: EncryptedVectors = serde_json::from_str(include_str!("../vectors/encrypted-keys.json")).unwrap();
    let macs: BTreeSet<&str> = vectors.remotes.iter().map(|remote| remote.mac.as_str()).collect();
    assert_eq!(macs.len(), 5);
    for remote in &vectors.remotes {
        let mac = Mac::parse(remote.mac.as_bytes()).unwrap();
        let cipher = STANDARD.decode(&remote.cipher).unwrap();
        for EncryptedKey { key, encrypted_key } in &remote.keys {
            let encrypted = Key::parse(key.as_bytes()).unwrap().encrypted(mac, &cipher);
            assert_eq!(Ok(encrypted), Key::parse(encrypted_key.as_bytes()), "{key}");
        }
    }
    assert_eq!(Mac::parse(b"HMACMD5"), None);
    assert_eq!(Mac::default().as_str(), "HMACSHA1");
}

#[test]
fn leading_zeros_vanish() {
    let key = Key::parse(b"SHA256-s03-C01--x").unwrap();
    assert_eq!(key.as_bytes(), b"SHA256-s3-C1--x");
    assert_eq!(Key::parse(b"SHA256-s000--x").unwrap().size(), Some(0));
}

#[test]
fn errors_tell_what_is_wrong() {
    assert_eq!(Key::parse(b""), Err(KeyError::Malformed));
    assert_eq!(Key::parse(b"SHA256--a\nb"), Err(KeyError::LineFeed));
    let long = [&b"SHA256E--a."[..], &[b'x'; 64]].concat();
    assert_eq!(Key::parse(&long), Err(KeyError::ExtensionTooLong));
    assert!(Key::parse(&long[..long.len() - 1]).is_ok());
}

#[test]
fn the_last_chunk_is_shorter() {
    let size = |text: &str| Key::parse(text.as_bytes()).unwrap().content_size();
    assert_eq!(size("MD5-s10--x"), Some(10));
    assert_eq!(size("MD5-s10-S4-C1--x"), Some(4));
    assert_eq!(size("MD5-s10-S4-C3--x"), Some(2));
    assert_eq!(size("MD5-s10-S4-C4--x"), None);
    assert_eq!(size("MD5-s10-S4-C0--x"), None);
    assert_eq!(size("MD5-S4-C1--x"), None);
}

proptest! {
    #[test]
    fn canonical_text_is_read_as_the_same_key(text in key_text()) {
        if let Ok(key) = Key::parse(&text) {
            let again = Key::parse(key.as_bytes()).unwrap();
            prop_assert_eq!(again.as_bytes(), key.as_bytes());
            prop_assert_eq!((again.size(), again.chunk(), again.parent_bytes()), (key.size(), key.chunk(), key.parent_bytes()));
            prop_assert_eq!(again, key);
        }
    }

    #[test]
    fn the_parent_has_the_same_hash_directories(key in key()) {
        let parent = Key::parse(key.parent_bytes()).unwrap();
        prop_assert_eq!(parent.hash_dir_lower(), key.hash_dir_lower());
        prop_assert_eq!(parent.hash_dir_mixed(), key.hash_dir_mixed());
        prop_assert_eq!(parent.chunk(), None);
    }

    #[test]
    fn a_chunk_of_a_key_leads_back_to_the_key(key in key(), size: u64, number: u64) {
        let parent = Key::parse(key.parent_bytes()).unwrap();
        let chunk = key.with_chunk(size, number);
        prop_assert_eq!(chunk.chunk(), Some((size, number)));
        prop_assert_eq!(chunk.parent_bytes(), parent.as_bytes());
        prop_assert_eq!(Key::parse(chunk.as_bytes()), Ok(chunk.clone()));
        prop_assert_eq!(parent.with_chunk(size, number), chunk);
    }

    #[test]
    fn file_names_lead_back_to_the_key(key in key()) {
        let name = key.file_name();
        prop_assert!(!name.contains(&b'/'));
        prop_assert_eq!(Key::from_file_name(&name), Ok(key));
    }
}
