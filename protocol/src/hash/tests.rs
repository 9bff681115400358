use serde_json::Value;

use super::{Hasher, is_secure};
use crate::key::Key;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../tests/vectors/key-hashes.json")).unwrap()
}

fn input(name: &str) -> Vec<u8> {
    match name {
        "empty" => Vec::new(),
        "hello" => b"hello world\n".to_vec(),
        "big" => (0..300_001u64).map(|i| u8::try_from((i * i * 31 + i / 7) & 255).unwrap()).collect(),
        other => panic!("unknown input {other}"),
    }
}

/// Whole, and in pieces that straddle every block size.
#[test]
fn hashes_as_git_annex_does() {
    let vectors = vectors();
    let keys = vectors["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 50 * 3);
    for case in keys {
        let key = Key::parse(case["key"].as_str().unwrap().as_bytes()).unwrap();
        let input = input(case["input"].as_str().unwrap());
        let hasher = || Hasher::for_key(&key).unwrap_or_else(|| panic!("no hasher for {key}"));
        let mut whole = hasher();
        whole.update(&input);
        assert!(whole.matches(&key), "{key}");
        let mut pieces = hasher();
        input.chunks(1021).for_each(|piece| pieces.update(piece));
        assert!(pieces.matches(&key), "{key} in pieces");
        let mut longer = hasher();
        longer.update(&input);
        longer.update(b"x");
        assert!(!longer.matches(&key), "{key} with a byte more");
    }
}

#[test]
fn some_keys_cannot_be_verified_by_hashing() {
    for text in [
        "WORM-s3-m1--foo",
        "URL--http&c%%x",
        "GIT--b1946ac92492d2347c6235b4d2611184b1946ac9",
        "GPGHMACSHA1--b1946ac92492d2347c6235b4d2611184b1946ac9",
        "MD5-s6-S3-C1--b1946ac92492d2347c6235b4d2611184",
        "XFOO--b1946ac92492d2347c6235b4d2611184",
        "XFOOE--b1946ac92492d2347c6235b4d2611184",
        "MD5EE--b1946ac92492d2347c6235b4d2611184",
        "md5--b1946ac92492d2347c6235b4d2611184",
    ] {
        assert!(Hasher::for_key(&Key::parse(text.as_bytes()).unwrap()).is_none(), "{text}");
    }
}

#[test]
fn only_lower_case_hex_up_to_the_first_dot_counts() {
    let matches = |text: &str| {
        let key = Key::parse(text.as_bytes()).unwrap();
        let mut hasher = Hasher::for_key(&key).unwrap();
        hasher.update(b"hello\n");
        hasher.matches(&key)
    };
    assert!(matches("MD5E--b1946ac92492d2347c6235b4d2611184.tar.gz"));
    assert!(matches("MD5--b1946ac92492d2347c6235b4d2611184.tar.gz"), "git annex fsck accepts it too");
    assert!(matches("MD5--\\b1946ac92492d2347c6235b4d2611184"), "and this");
    assert!(!matches("MD5--B1946AC92492D2347C6235B4D2611184"));
    assert!(!matches("MD5--b1946ac92492d2347c6235b4d261118"));
}

#[test]
fn secure_backends() {
    let insecure = ["MD5", "SHA1", "XXH3"];
    for case in vectors()["keys"].as_array().unwrap() {
        let backend = case["backend"].as_str().unwrap();
        let expected = !insecure.contains(&backend.trim_end_matches('E'));
        assert_eq!(is_secure(backend.as_bytes()), expected, "{backend}");
    }
    for backend in ["WORM", "URL", "VURL", "XSHA256", "GPGHMACSHA512"] {
        assert!(!is_secure(backend.as_bytes()), "{backend}");
    }
}
