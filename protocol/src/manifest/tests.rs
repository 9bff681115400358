use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::keep::{BlockHash, ClusterId, MAX_BLOCK};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../tests/vectors/keep-manifests.json")).unwrap()
}

fn bytes<'a>(value: &'a Value, field: &str) -> &'a [u8] {
    value[field].as_str().unwrap().as_bytes()
}

#[test]
fn valid_manifests() {
    for case in vectors()["valid"].as_array().unwrap() {
        let text = bytes(case, "manifest");
        assert_eq!(validate(text), Ok(()), "{case}");
        assert_eq!(stripped(text), bytes(case, "stripped"), "{case}");
        assert_eq!(portable_data_hash(text).as_bytes(), bytes(case, "portable_data_hash"), "{case}");
        let manifest = Manifest::parse(text).unwrap();
        assert_eq!(Manifest::parse(&manifest.to_bytes()).as_ref(), Ok(&manifest));
        if case["name"] != "empty dir dot" {
            assert_eq!(manifest.to_bytes(), text, "{case}");
        }
        let Some(normal) = case["normalized_by_python_sdk"].as_str() else { continue };
        let ours = manifest.normalized().unwrap().to_bytes();
        assert_eq!(String::from_utf8(ours.clone()).unwrap(), normal, "{case}");
        assert_eq!(portable_data_hash(&ours).as_bytes(), bytes(case, "normalized_pdh"));

        let files = manifest.files().unwrap();
        let expected = case["files"].as_object().unwrap();
        assert_eq!(files.iter().count(), expected.len(), "{case}");
        for (path, expected) in expected {
            let file = files.get(path.as_bytes()).unwrap();
            assert_eq!(file.size(), expected[0].as_u64().unwrap());
            let extents: Vec<_> = file.extents(0, file.size()).map(extent).collect();
            let expected: Vec<_> = expected[1].as_array().unwrap().iter().map(expected_extent).collect();
            assert_eq!(extents, expected, "{case}");
        }
    }
}

fn extent(extent: Extent<'_>) -> (String, u64, u64) {
    (extent.locator.stripped().to_string(), extent.offset, extent.size)
}

/// The recorded locators keep some hints; only hash and size count here.
fn expected_extent(value: &Value) -> (String, u64, u64) {
    let locator = Locator::parse(value[0].as_str().unwrap().as_bytes()).unwrap();
    (locator.stripped().to_string(), value[1].as_u64().unwrap(), value[2].as_u64().unwrap())
}

#[test]
fn invalid_manifests() {
    let reason = |why: &str| match why {
        "no final newline" => Reason::NoFinalLineFeed,
        "trailing space" | "double space" | "leading space" | "blank line" | "leading newline" => Reason::EmptyToken,
        "tab separator" | "tab in name" => Reason::ControlByte,
        "escape above 377" | "double backslash" => Reason::BadEscape,
        "stream name must start with ."
        | "dot component"
        | "dotdot component"
        | "trailing dot component"
        | "stream token missing"
        | "trailing slash in stream"
        | "double slash in stream"
        | "escaped trailing slash" => Reason::StreamName,
        "short digest"
        | "locator after file token"
        | "file token without colons"
        | "one colon"
        | "escaped colons"
        | "escaped digits" => Reason::BadToken,
        "no locator" | "only dot" => Reason::NoBlock,
        "no file token" => Reason::NoFile,
        _ => Reason::FileName,
    };
    for case in vectors()["invalid"]["reject"].as_array().unwrap() {
        let text = bytes(case, "manifest");
        let why = case["why"].as_str().unwrap();
        assert_eq!(validate(text).map_err(|error| error.reason), Err(reason(why)), "{case}");
        assert!(Manifest::parse(text).is_err(), "{case}");
    }
}

#[test]
fn odd_manifests_pass_the_validator_but_only_readable_ones_are_read() {
    for case in vectors()["invalid"]["accept_although_odd"].as_array().unwrap() {
        let text = bytes(case, "manifest");
        assert_eq!(validate(text), Ok(()), "{case}");
        let unreadable = match case["note"].as_str().unwrap() {
            note if note.starts_with("size hint missing") => Some(Reason::Locator),
            note if note.starts_with("leading zeros") => Some(Reason::OutOfRange),
            _ => None,
        };
        assert_eq!(Manifest::parse(text).err().map(|error| error.reason), unreadable, "{case}");
    }
}

#[test]
fn an_error_names_the_stream() {
    let error = Manifest::parse(b". d41d8cd98f00b204e9800998ecf8427e+0 0:0:a\n. 0:0:b\n").unwrap_err();
    assert_eq!(error.to_string(), "Manifest invalid for stream 2: there is no block");
}

#[test]
fn unreadable_sizes() {
    let reason = |text: &str| Manifest::parse(text.as_bytes()).unwrap_err().reason;
    let hash = BlockHash::EMPTY;
    assert_eq!(reason(&format!(". {hash}+67108865 0:1:a\n")), Reason::Locator);
    assert_eq!(reason(&format!(". {hash}+3 1:3:a\n")), Reason::OutOfRange);
    assert_eq!(reason(&format!(". {hash}+3 18446744073709551615:3:a\n")), Reason::OutOfRange);
    assert_eq!(reason(&format!(". {hash}+3 18446744073709551616:3:a\n")), Reason::TooLarge);
}

#[test]
fn a_path_cannot_be_file_and_directory() {
    let files = |text: &str| Manifest::parse(text.as_bytes()).unwrap().files().map(|_| ());
    let empty = Locator::EMPTY;
    assert_eq!(files(&format!(". {empty} 0:0:a\n./a {empty} 0:0:b\n")), Err(Reason::FileAndDirectory));
    assert_eq!(files(&format!(". {empty} 0:0:a 0:0:a/b/c\n")), Err(Reason::FileAndDirectory));
    assert_eq!(files(&format!(". {empty} 0:0:a\n./a {empty} 0:0:.\n")), Err(Reason::FileAndDirectory));
    assert_eq!(files(&format!(". {empty} 0:0:a 0:0:ab\n")), Ok(()));
}

#[test]
fn empty_directories_survive_normalisation_unless_something_is_in_them() {
    let empty = Locator::EMPTY;
    let normal = |text: String| {
        String::from_utf8(Manifest::parse(text.as_bytes()).unwrap().normalized().unwrap().to_bytes()).unwrap()
    };
    assert_eq!(normal(format!(". {empty} 0:0:.\n")), "");
    assert_eq!(normal(format!("./a {empty} 0:0:.\n./a/b {empty} 0:0:c\n")), format!("./a/b {empty} 0:0:c\n"));
    assert_eq!(
        normal(format!("./a/b {empty} 0:0:.\n./a-b {empty} 0:0:.\n")),
        format!("./a/b {empty} 0:0:\\056\n./a-b {empty} 0:0:\\056\n")
    );
}

#[test]
fn one_file_with_a_hostile_name() {
    let name: Vec<u8> = (0..=255).filter(|byte| *byte != b'/').collect();
    let blocks = vec![Locator::new(BlockHash::of(b"a"), MAX_BLOCK as u64), Locator::of(b"foo")];
    let manifest = Manifest::of_file(b"some/dir", &name, blocks).unwrap();
    assert_eq!(Manifest::parse(&manifest.to_bytes()).as_ref(), Ok(&manifest));
    let files = manifest.files().unwrap();
    let file = files.get(&[b"some/dir/", name.as_slice()].concat()).unwrap();
    assert_eq!(file.size(), MAX_BLOCK as u64 + 3);
    for bad in [&b""[..], b".", b"..", b"a/b"] {
        assert_eq!(Manifest::of_file(b"", bad, Vec::new()), Err(Reason::FileName));
    }
    assert_eq!(Manifest::of_file(b"../x", b"a", Vec::new()), Err(Reason::StreamName));
    assert_eq!(
        Manifest::of_file(b"", b"a", Vec::new()).unwrap().to_bytes(),
        format!(". {} 0:0:a\n", Locator::EMPTY).as_bytes()
    );
}

#[test]
fn signatures_leave_or_become_remote() {
    let vectors: Value = serde_json::from_str(include_str!("../../tests/vectors/keep-federation.json")).unwrap();
    for case in vectors["manifest_rewrite"].as_array().unwrap() {
        let cluster = ClusterId::parse(bytes(case, "remote")).unwrap();
        assert_eq!(as_remote(bytes(case, "input"), cluster), bytes(case, "output"), "{case}");
        assert_eq!(stripped(bytes(case, "output")), stripped(bytes(case, "input")));
    }
    let signed = b". acbd18db4cc2f85cedef654fccc4a4d8+3+Zx+Aff@ff+K@xyzzy 0:3:foo+Ax\n";
    assert_eq!(without_signatures(signed), b". acbd18db4cc2f85cedef654fccc4a4d8+3+Zx+K@xyzzy 0:3:foo+Ax\n");
}

#[test]
fn signing_changes_blocks_only_and_never_the_hash() {
    let signer = crate::keep::Signer::new(b"key", 3600);
    let text = b". acbd18db4cc2f85cedef654fccc4a4d8+003+Zx+Aff@ff d41d8cd98f00b204e9800998ecf8427e+0 0:3:a+b\n";
    let signed = with_signatures(text, |locator| signer.sign(locator, b"token", 0x7fff_ffff));
    assert_eq!(portable_data_hash(&signed), portable_data_hash(text));
    assert_eq!(without_signatures(&signed), without_signatures(text));
    for token in signed.split(|byte| *byte == b' ').skip(1).take(2) {
        assert_eq!(signer.verify(token, b"token", 100), Ok(()));
    }
}

/// A manifest can be stored in Keep itself: its text and its hash packed into a block, and a root manifest over that.
#[test]
fn a_manifest_in_keep() {
    let vectors: Value = serde_json::from_str(include_str!("../../tests/vectors/keep-manifest-root.json")).unwrap();
    let case = &vectors["small"];
    let text = bytes(case, "manifest");
    let hash = portable_data_hash(text);
    assert_eq!(hash.as_bytes(), bytes(case, "portable_data_hash"));
    let packed = Locator::of(&[text, hash.as_bytes()].concat());
    assert_eq!(packed.to_string().as_bytes(), bytes(case, "packed_block"));
    let (text_size, hash_size) = (text.len() as u64, hash.len() as u64);
    let segments = vec![
        Segment { position: 0, size: text_size, name: b"manifest.txt".to_vec() },
        Segment { position: text_size, size: hash_size, name: b"portable_data_hash.txt".to_vec() },
    ];
    let mut root = Vec::new();
    Stream::new(b".".to_vec(), vec![packed.clone()], segments).unwrap().write_to(&mut root);
    assert_eq!(root, bytes(case, "root_text"));
    let root = Locator::of(&root);
    assert_eq!(root.to_string().as_bytes(), bytes(case, "root_locator"));
    let members: std::collections::BTreeSet<_> =
        case["members"].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect();
    let mut ours = Manifest::parse(text).unwrap().blocks();
    ours.extend([packed, root]);
    assert_eq!(ours.iter().map(ToString::to_string).collect::<std::collections::BTreeSet<_>>(), members);
}

/// Blocks of letters, so that a file's bytes can be spelled out and compared.
fn any_manifest() -> impl Strategy<Value = Manifest> {
    let component = prop::collection::vec(any::<u8>().prop_filter("slash", |b| *b != b'/'), 1..5)
        .prop_filter("dots", |name| name != b"." && name != b"..");
    let path = |min| prop::collection::vec(component.clone(), min..3).prop_map(|parts| parts.join(&b'/'));
    let blocks = prop::collection::vec((any::<[u8; 16]>(), 0..9u64), 1..5);
    let stream = (
        path(0),
        blocks,
        prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), path(1)), 1..5),
    );
    let stream = stream.prop_map(|(path, blocks, segments)| {
        let name = if path.is_empty() { b".".to_vec() } else { [b"./", path.as_slice()].concat() };
        let blocks: Vec<_> = blocks.into_iter().map(|(hash, size)| Locator::new(hash.into(), size)).collect();
        let total = blocks.iter().map(Locator::size).sum::<u64>() as usize;
        let segment = |(from, size, name): (prop::sample::Index, prop::sample::Index, Vec<u8>)| {
            let position = from.index(total + 1) as u64;
            let size = size.index(total + 1 - position as usize) as u64;
            Segment { position, size, name }
        };
        Stream::new(name, blocks, segments.into_iter().map(segment).collect()).unwrap()
    });
    prop::collection::vec(stream, 0..4).prop_map(|streams| Manifest { streams })
}

/// Spells each byte of a file as (block, offset).
fn spell(file: &File<'_>, offset: u64, length: u64) -> Vec<(BlockHash, u64)> {
    file.extents(offset, length)
        .flat_map(|e| (e.offset..e.offset + e.size).map(move |at| (e.locator.hash(), at)))
        .collect()
}

proptest! {
    #[test]
    fn written_manifests_are_read_again(manifest in any_manifest()) {
        let text = manifest.to_bytes();
        prop_assert_eq!(validate(&text), Ok(()));
        prop_assert_eq!(Manifest::parse(&text), Ok(manifest));
        prop_assert_eq!(stripped(&text), text);
    }

    #[test]
    fn normal_form_keeps_every_file(manifest in any_manifest()) {
        let Ok(files) = manifest.files() else { return Ok(()) };
        let normal = manifest.normalized().unwrap();
        let normal_files = normal.files().unwrap();
        prop_assert_eq!(files.iter().map(|(path, _)| path).collect::<Vec<_>>(), normal_files.iter().map(|(path, _)| path).collect::<Vec<_>>());
        for (path, file) in &files {
            prop_assert_eq!(spell(file, 0, u64::MAX), spell(normal_files.get(path).unwrap(), 0, u64::MAX));
        }
        prop_assert_eq!(normal.normalized().unwrap(), normal);
    }

    #[test]
    fn what_is_moved_away_and_back_is_as_it_was(manifest in any_manifest()) {
        let Ok(files) = manifest.files() else { return Ok(()) };
        for (path, _) in &files {
            let mut edited = files.clone();
            let subtree = files.subtree(path).unwrap();
            edited.remove(path);
            prop_assert!(edited.get(path).is_none());
            prop_assert!(edited.to_manifest().is_ok());
            edited.put(path, subtree).unwrap();
            prop_assert_eq!(edited.to_manifest().unwrap(), manifest.normalized().unwrap());
        }
    }

    #[test]
    fn any_range_of_a_file_is_cut_right(manifest in any_manifest(), offset in 0..40u64, length in 0..40u64) {
        let Ok(files) = manifest.files() else { return Ok(()) };
        for (_, file) in &files {
            let whole = spell(file, 0, file.size());
            prop_assert_eq!(whole.len() as u64, file.size());
            let expected: Vec<_> = whole.into_iter().skip(offset as usize).take(length as usize).collect();
            prop_assert_eq!(spell(file, offset, length), expected);
        }
    }

    #[test]
    fn no_text_panics(text in "(\\. |[0-9a-f]{32}\\+[0-9]{0,2} |[0-9]:[0-9]:|[a./\\\\:\n ]){0,20}") {
        let _ = portable_data_hash(text.as_bytes());
        if let Ok(manifest) = Manifest::parse(text.as_bytes()) {
            prop_assert_eq!(validate(text.as_bytes()), Ok(()));
            prop_assert_eq!(Manifest::parse(&manifest.to_bytes()), Ok(manifest));
        }
    }
}
