//! The P2P protocol over HTTP.

use annex_protocol::key::Key;
use annex_protocol::p2p::Version;
use annex_protocol::p2p_http::{
    Address, AddressError, Call, Malformed, Query, QueryError, Resource, UnlockReader, decode_value, encode_value,
    percent_decode, percent_encode, unlock_message,
};
use annex_protocol::uuid::Uuid;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::strategy;

fn address(path: &str) -> Result<Address, AddressError> {
    Address::parse(path.as_bytes())
}

fn query(text: &str) -> Result<Query, QueryError> {
    Query::parse(text.as_bytes())
}

#[test]
fn addresses() {
    let uuid = Uuid::parse(b"u-1").unwrap();
    let key = Key::parse(b"SHA1-s3--a b").unwrap();
    let at = |resource| Ok(Address { uuid: uuid.clone(), resource });
    let plain = at(Resource::Key { version: None, key: key.clone() });
    assert_eq!(address("/git-annex/u-1/key/SHA1-s3--a%20b"), plain);
    assert_eq!(address("/git-annex/git-annex/u-1/key/SHA1-s3--a%20b"), plain);
    assert_eq!(address("/git-annex/%5BdS0x%5D/key/[U0hBMS1zMy0tYSBi]"), plain);
    assert_eq!(address("/git-annex/u-1/v2/key/SHA1-s3--a%20b"), at(Resource::Key { version: Some(Version::V2), key }));
    let url = at(Resource::Key { version: None, key: Key::parse(b"URL--http://h/x").unwrap() });
    assert_eq!(address("/git-annex/u-1/key/URL--http%3A%2F%2Fh%2Fx"), url);
    assert_eq!(address("/git-annex/u-1/key/URL--http://h/x"), url);
    let call = |version, call| at(Resource::Call { version, call });
    assert_eq!(address("/git-annex/u-1/v0/put"), call(Version::V0, Call::Put));
    assert_eq!(address("/git-annex/u-1/v4/remove-before"), call(Version::V4, Call::RemoveBefore));
    assert_eq!(address("/git-annex/u-1/v1/putoffset"), call(Version::V1, Call::PutOffset));
}

#[test]
fn what_is_no_address() {
    for path in ["/", "/git-annex", "/git-annex/u-1", "/git-annex/u-1/", "/git-annex/u-1/v4/x", "/git-annex/u-1/x/put"]
    {
        assert_eq!(address(path), Err(AddressError::Unknown), "{path}");
    }
    assert_eq!(address("/git-annex/u-1/v4/put/"), Err(AddressError::Unknown));
    for version in ["v5", "v00", "v", "v99999999999999999999"] {
        let path = format!("/git-annex/u-1/{version}/put");
        assert_eq!(address(&path), Err(AddressError::Version(version.to_owned())));
    }
    for (version, call) in [("v0", "putoffset"), ("v2", "gettimestamp"), ("v2", "remove-before")] {
        let path = format!("/git-annex/u-1/{version}/{call}");
        assert!(matches!(address(&path), Err(AddressError::NotYet { .. })), "{path}");
    }
    assert_eq!(address("/git-annex/%20/v4/put"), Err(AddressError::Uuid));
    assert_eq!(address("/git-annex/%5B!%5D/v4/put"), Err(AddressError::Uuid));
    assert_eq!(address("/git-annex/u-1/key/nokey"), Err(AddressError::Key));
    assert_eq!(address("/git-annex/u-1/key/MD5--%FF"), Err(AddressError::Key));
}

#[test]
fn parameters() {
    let read =
        query("offset=0&clientuuid=c-1&bypass=g-1&other=x&bypass=g-2&key=SHA1--x&associatedfile=q%20%5Bx%5D.bin");
    let read = read.unwrap();
    assert_eq!(read.client, Uuid::parse(b"c-1"));
    assert_eq!(read.bypass, [Uuid::parse(b"g-1").unwrap(), Uuid::parse(b"g-2").unwrap()]);
    assert_eq!(read.key, Key::parse(b"SHA1--x").ok());
    assert_eq!(read.file.as_deref(), Some(&b"q [x].bin"[..]));
    assert_eq!((read.offset, read.timestamp, read.lock, read.data_present), (Some(0), None, None, false));
    assert_eq!(query("associatedfile=%5BZm9v%5D").unwrap().file.as_deref(), Some(&b"foo"[..]));
    assert_eq!(query("associatedfile=a+b%2Bc").unwrap().file.as_deref(), Some(&b"a b+c"[..]));
    assert!(query("data-present=true").unwrap().data_present);
    assert_eq!(query(""), Ok(Query::default()));
    let refused = |text: &str| query(text).unwrap_err().to_string();
    for name in ["clientuuid", "bypass", "key", "associatedfile", "lockid"] {
        let text = refused(&format!("{name}=%5B!%5D"));
        assert!(text.contains(&format!("parameter {name} ")), "{text}");
    }
    for text in ["key=notakey", "offset=-1", "offset=", "timestamp=1x", "data-present=yes", "clientuuid="] {
        refused(text);
    }
    assert_eq!(QueryError::Missing("key").to_string(), "Query parameter key is required");
}

#[test]
fn values_in_brackets() {
    assert_eq!(encode_value(b"foo"), "foo");
    assert_eq!(encode_value(b"q [x].bin"), "q [x].bin");
    assert_eq!(encode_value(b"[x]"), "[W3hd]");
    assert_eq!(encode_value(b"\xff\xfe?"), "[__4_]");
    assert_eq!(encode_value(b"\xff"), "[_w==]");
    for text in ["[_w==]", "[_w]"] {
        assert_eq!(decode_value(text.as_bytes()).as_deref(), Some(&b"\xff"[..]), "{text}");
    }
    assert_eq!(decode_value(b"[/w==]"), None);
    assert_eq!(decode_value(b"\xff"), None);
    assert_eq!(percent_decode(b"100%&%4"), b"100%&%4");
}

#[test]
fn a_lock_is_given_back_as_soon_as_the_message_is_complete() {
    let mut reader = UnlockReader::default();
    assert_eq!(reader.push(b"{\"unlock\":fal"), Ok(false));
    assert_eq!(reader.push(b"se}"), Ok(false));
    assert_eq!(reader.push(b"\n\r\n { \"unlock\" : false } \n"), Ok(false));
    assert_eq!(reader.push(unlock_message(true).trim_end().as_bytes()), Ok(true));
    for bad in ["{}", "{\"unlock\":1}", "x\n", "{\"unlock\":false}x", "{\"unlock\":false}{\"unlock\":true}"] {
        assert_eq!(UnlockReader::default().push(bad.as_bytes()), Err(Malformed), "{bad}");
    }
    assert_eq!(UnlockReader::default().push(&[b' '; 5000]), Err(Malformed));
}

fn resource() -> impl Strategy<Value = Resource> {
    let versions = vec![Version::V0, Version::V1, Version::V2, Version::V3, Version::V4];
    let version = proptest::sample::select(versions);
    let calls = vec![Call::CheckPresent, Call::LockContent, Call::KeepLocked, Call::Remove, Call::Put];
    prop_oneof![
        (option::of(version.clone()), strategy::key()).prop_map(|(version, key)| Resource::Key { version, key }),
        (version, proptest::sample::select(calls)).prop_map(|(version, call)| Resource::Call { version, call }),
    ]
}

proptest! {
    #[test]
    fn an_address_is_read_as_it_was_written(uuid in strategy::uuid(), resource in resource()) {
        let address = Address { uuid, resource };
        prop_assume!(address.uuid.as_bytes() != b"git-annex");
        prop_assert_eq!(Address::parse(address.to_path().as_bytes()), Ok(address));
    }

    #[test]
    fn parameters_are_read_as_they_were_written(
        (client, bypass) in (option::of(strategy::uuid()), vec(strategy::uuid(), 0..3)),
        (key, file, lock) in (option::of(strategy::key()), option::of(vec(any::<u8>(), 0..20)), option::of(vec(any::<u8>(), 0..20))),
        (offset, timestamp, data_present) in (any::<Option<u64>>(), any::<Option<u64>>(), any::<bool>()),
    ) {
        let query = Query { client, bypass, key, file, offset, timestamp, lock, data_present };
        prop_assert_eq!(Query::parse(query.to_text().as_bytes()), Ok(query));
    }

    #[test]
    fn values_are_read_as_they_were_written(bytes in prop_oneof![vec(any::<u8>(), 0..40), "\\[[a-z_=]{0,6}\\]".prop_map(String::into_bytes)]) {
        prop_assert_eq!(decode_value(encode_value(&bytes).as_bytes()), Some(bytes.clone()));
        prop_assert_eq!(percent_decode(percent_encode(&bytes).as_bytes()), bytes);
    }

    #[test]
    fn nothing_panics(bytes in vec(any::<u8>(), 0..80)) {
        let _ = Address::parse(&bytes);
        let _ = Address::parse(&[b"/git-annex/", bytes.as_slice()].concat());
        let _ = Query::parse(&bytes);
        let _ = UnlockReader::default().push(&bytes);
    }
}
