//! The P2P protocol over HTTP: no input panics; what was read is written and read again.
//!
//! The input is a path, a line feed, parameters, a line feed, and the body of a keeplocked request.
#![no_main]

use annex_protocol::p2p_http::{
    Address, Query, UnlockReader, decode_value, encode_value, percent_decode, percent_encode,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(3, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (path, parameters, body) = (part(), part(), part());
    if let Ok(address) = Address::parse(path) {
        assert_eq!(Address::parse(address.to_path().as_bytes()), Ok(address));
    }
    if let Ok(query) = Query::parse(parameters) {
        assert_eq!(Query::parse(query.to_text().as_bytes()), Ok(query));
    }
    assert_eq!(decode_value(encode_value(input).as_bytes()).as_deref(), Some(input));
    assert_eq!(percent_decode(percent_encode(input).as_bytes()), input);
    // However the body is cut, it means the same.
    let whole = UnlockReader::default().push(body);
    let mut reader = UnlockReader::default();
    let bytewise = body.chunks(1).map(|byte| reader.push(byte)).find(|read| *read != Ok(false));
    assert_eq!(bytewise.unwrap_or(Ok(false)), whole);
});
