use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn vectors(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn list<'a>(value: &'a Value, field: &str) -> &'a Vec<Value> {
    value[field].as_array().unwrap()
}

fn bytes<'a>(value: &'a Value, field: &str) -> &'a [u8] {
    value[field].as_str().unwrap().as_bytes()
}

fn hash(value: &Value) -> BlockHash {
    BlockHash::parse(bytes(value, "hash")).unwrap()
}

#[test]
fn locators_are_judged_as_each_program_does() {
    let signer = Signer::new(b"key", 1);
    for case in list(&vectors(include_str!("../../tests/vectors/keep-locators.json")), "cases") {
        let text = bytes(case, "locator");
        let strict = Locator::parse(text);
        assert_eq!(strict.is_ok(), case["documented_grammar"].as_bool().unwrap(), "documented: {case}");
        assert_eq!(is_loose_locator(text), case["api_server_regexp"].as_bool().unwrap(), "API server: {case}");
        let signed = signer.verify(text, b"token", 0) != Err(SignatureError::Missing);
        assert_eq!(signed, case["signed_pattern"].as_bool().unwrap(), "signed: {case}");

        let request = BlockRequest::parse(text).ok();
        let keepstore = &case["keepstore"];
        assert_eq!(request.is_some(), !keepstore.is_null(), "keepstore: {case}");
        if let Some(request) = request {
            assert_eq!(request.hash, hash(keepstore), "{case}");
            assert_eq!(request.size.unwrap_or(0), u64::try_from(keepstore["size"].as_i64().unwrap()).unwrap_or(0));
            assert_eq!(request.remote, keepstore["remote"].as_bool().unwrap(), "{case}");
            assert_eq!(request.signed, keepstore["signed"].as_bool().unwrap(), "{case}");
        }
        if let (Ok(strict), Some(size)) = (strict, case["python_client"]["size"].as_u64()) {
            assert_eq!(strict.size(), size);
            assert_eq!(strict.stripped().to_string().as_bytes(), bytes(&case["python_client"], "stripped"));
            let others: Vec<_> = strict.without('A').hints().map(String::from).collect();
            assert_eq!(others, *list(&case["python_client"], "hints"));
        }
    }
}

#[test]
fn signatures() {
    let vectors = vectors(include_str!("../../tests/vectors/keep-signatures.json"));
    for case in list(&vectors, "sign") {
        let signer = Signer::new(bytes(case, "key"), case["ttl_seconds"].as_u64().unwrap());
        let (text, token) = (bytes(case, "locator"), bytes(case, "token"));
        let hint = format!("A{}@{}", case["signature"].as_str().unwrap(), case["expiry_hex"].as_str().unwrap());
        let expiry = case["expiry_unix"].as_u64().unwrap();
        // Without a size there is nothing that we sign, but upstream's signature of it must verify.
        if let Ok(locator) = Locator::parse(text) {
            let signed = signer.sign(&locator, token, expiry);
            assert_eq!(signed.hints().next().unwrap(), hint);
            assert_eq!(signed.without('A'), locator);
            assert_eq!(signer.verify(signed.to_string().as_bytes(), token, expiry), Ok(()));
            assert_eq!(signer.sign(&signed, token, expiry), signed);
        }
        let upstream = bytes(case, "signed_locator");
        assert_eq!(signer.verify(upstream, token, expiry), Ok(()), "{case}");
        assert_eq!(signer.verify(upstream, token, expiry + 1), Err(SignatureError::Expired), "{case}");
    }
    for case in list(&vectors, "verify") {
        let signer = Signer::new(bytes(case, "key"), case["ttl_seconds"].as_u64().unwrap());
        let expected = match case["expect"].as_str().unwrap() {
            "ok" => Ok(()),
            "missing" => Err(SignatureError::Missing),
            "expired" => Err(SignatureError::Expired),
            "invalid" => Err(SignatureError::Invalid),
            other => panic!("{other}"),
        };
        let now = case["now_unix"].as_u64().unwrap();
        assert_eq!(signer.verify(bytes(case, "locator"), bytes(case, "token"), now), expected, "{case}");
    }
}

#[test]
fn nothing_is_signed_without_key_or_token() {
    let locator = Locator::of(b"foo");
    assert_eq!(Signer::new(b"", 1).sign(&locator, b"token", 9), locator);
    assert_eq!(Signer::new(b"key", 1).sign(&locator, b" \n", 9), locator);
}

#[test]
fn services_and_mounts_in_rendezvous_order() {
    let vectors = vectors(include_str!("../../tests/vectors/keep-rendezvous.json"));
    for case in list(&vectors["services"], "cases") {
        assert_eq!(BlockHash::of(bytes(case, "block")), hash(case));
        let mut order = list(case, "order").clone();
        order.sort_by_key(|uuid| uuid.to_string());
        service_order(hash(case), &mut order, |uuid| uuid.as_str().unwrap().as_bytes());
        assert_eq!(order, *list(case, "order"));
        let suffixes: String = order.iter().map(|uuid| uuid.as_str().unwrap().chars().last().unwrap()).collect();
        assert_eq!(suffixes, case["expected_suffix_order"]);
    }
    for case in list(&vectors, "uuid_28_chars_trap") {
        let mut order = list(case, "uuids").clone();
        service_order(hash(case), &mut order, |uuid| uuid.as_str().unwrap().as_bytes());
        assert_eq!(order, *list(case, "order_len27_rule"));
        order.sort_by_key(|uuid| std::cmp::Reverse(weight(hash(case), &uuid.as_str().unwrap().as_bytes()[13..])));
        assert_eq!(order, *list(case, "order_last15"));
    }
    for case in list(&vectors["mounts_inside_keepstore"], "cases") {
        let mut mounts = list(case, "mounts").clone();
        mounts.reverse();
        mount_order(hash(case), &mut mounts, |mount| (bytes(mount, "uuid"), mount["priority"].as_i64().unwrap()));
        let order: Vec<_> = mounts.iter().map(|mount| mount["uuid"].clone()).collect();
        assert_eq!(order, *list(case, "order"));
    }
}

#[test]
fn tokens_are_salted() {
    let vectors = vectors(include_str!("../../tests/vectors/keep-salting.json"));
    let remote = |case: &Value| ClusterId::parse(bytes(case, "remote")).unwrap();
    for case in list(&vectors, "cases") {
        let salted = Token::parse(bytes(case, "token")).salted(remote(case));
        match case["error"].as_str() {
            None => assert_eq!(salted.as_deref(), Ok(bytes(case, "result")), "{case}"),
            Some("already-salted") => assert_eq!(salted, Err(SaltError::AlreadySalted), "{case}"),
            Some("obsolete") => assert_eq!(salted, Err(SaltError::Obsolete), "{case}"),
            Some("format") => assert_eq!(salted, Err(SaltError::Format), "{case}"),
            Some(other) => panic!("{other}"),
        }
    }
    for case in list(&vectors, "verification_at_issuer") {
        let (stored, presented) = (bytes(case, "stored_secret"), bytes(case, "presented_secret"));
        assert_eq!(salted_secret_matches(stored, presented, remote(case)), case["accept"].as_bool().unwrap(), "{case}");
    }
    assert_eq!(Token::parse(b"v2/u/s/c"), Token::V2 { uuid: b"u", secret: b"s", container: Some(b"c") });
    assert!(ClusterId::parse(b"zzzz").is_none() && ClusterId::parse(b"zzzz/").is_none());
}

#[test]
fn remote_signatures_go_back_to_their_issuer() {
    let vectors = vectors(include_str!("../../tests/vectors/keep-federation.json"));
    for case in list(&vectors, "remote_locator_to_remote_request") {
        let locator = Locator::parse(bytes(case, "locator")).unwrap();
        let found = locator.at_issuer().map(|(cluster, locator)| (cluster.to_string(), locator.to_string()));
        let expected = case["cluster"].as_str().map(|cluster| {
            assert_eq!(
                locator.at_issuer().unwrap().1.as_remote(ClusterId::parse(cluster.as_bytes()).unwrap()),
                locator
            );
            (cluster.to_owned(), case["request_locator"].as_str().unwrap().to_owned())
        });
        assert_eq!(found, expected);
    }
}

#[test]
fn gateway_index_lines() {
    let vectors = vectors(include_str!("../../tests/vectors/keep-gateway-index.json"));
    for case in list(&vectors, "lines") {
        let mapping = Mapping::parse(bytes(case, "line")).unwrap();
        assert_eq!(mapping.offset, case["offset"].as_u64().unwrap());
        assert_eq!(mapping.length, case["length"].as_u64().unwrap());
        assert_eq!(mapping.path, bytes(case, "path"));
        let attributes = case["attrs"].as_object().unwrap();
        assert_eq!(mapping.attributes.len(), attributes.len());
        for (name, value) in &mapping.attributes {
            assert_eq!(value, bytes(&case["attrs"], std::str::from_utf8(name).unwrap()));
        }
        assert_eq!(mapping.to_bytes(), bytes(case, "line"));
    }
    for line in list(&vectors, "bad") {
        assert_eq!(Mapping::parse(line.as_str().unwrap().as_bytes()), Err(MappingError), "{line}");
    }
}

#[test]
fn the_empty_block() {
    assert_eq!(BlockHash::of(b""), BlockHash::EMPTY);
    assert_eq!(Locator::of(b""), Locator::EMPTY);
    assert_eq!(BlockHash::EMPTY.to_string(), "d41d8cd98f00b204e9800998ecf8427e");
    assert_eq!(format!("{:?}", Locator::EMPTY), "Locator(d41d8cd98f00b204e9800998ecf8427e+0)");
}

proptest! {
    #[test]
    fn written_locators_are_read_again(hash: [u8; 16], size: u64, hints in prop::collection::vec("[A-Z][A-Za-z0-9@_-]{0,9}", 0..4)) {
        let mut locator = Locator::new(hash.into(), size);
        for hint in &hints {
            locator = locator.with_hint(hint).unwrap();
        }
        prop_assert_eq!(locator.hints().collect::<Vec<_>>(), hints);
        prop_assert_eq!(Locator::parse(locator.to_string().as_bytes()), Ok(locator.clone()));
        prop_assert!(is_loose_locator(locator.to_string().as_bytes()));
    }

    #[test]
    fn hints_cannot_smuggle_anything(hint in ".*") {
        if let Ok(locator) = Locator::EMPTY.with_hint(&hint) {
            let read = Locator::parse(locator.to_string().as_bytes()).unwrap();
            prop_assert_eq!(read.hints().collect::<Vec<_>>(), vec![hint]);
        }
    }
}
