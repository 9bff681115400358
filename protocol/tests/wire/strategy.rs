//! Values for the properties.

use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;
use proptest::collection::vec;
use proptest::prelude::*;

/// Bytes without a line feed, as the last field of a line; no carriage return at the end.
pub(crate) fn text() -> impl Strategy<Value = Vec<u8>> {
    let any = vec(prop_oneof![4 => any::<u8>(), 2 => b' '..=b'~', 1 => Just(b' '), 1 => Just(b'%')], 0..40);
    any.prop_map(|mut text| {
        text.retain(|byte| *byte != b'\n');
        while text.last() == Some(&b'\r') {
            text.pop();
        }
        text
    })
}

/// Bytes without ASCII white space.
pub(crate) fn word() -> impl Strategy<Value = Vec<u8>> {
    text().prop_map(|mut text| {
        text.retain(|byte| !matches!(byte, b' ' | b'\t'..=b'\r'));
        text
    })
}

pub(crate) fn uuid() -> impl Strategy<Value = Uuid> {
    prop_oneof![
        "[0-9a-f]{8}-[0-9a-f]{4}-[48][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}".prop_map(String::into_bytes),
        word(),
    ]
    .prop_filter_map("empty", |text| Uuid::parse(&text))
}

/// The text of a key, not always canonical, sometimes with an extension that is too long.
pub(crate) fn key_text() -> impl Strategy<Value = Vec<u8>> {
    let backend = prop_oneof!["SHA256E", "MD5", "WORM", "URL", "XFOOE", "[^-\n]{1,6}"];
    let fields = "(-s0?[0-9]{1,25})?(-m[0-9]{1,11})?(-S[0-9]{1,9})?(-C0{0,2}[0-9]{1,4})?";
    let name = prop_oneof![text(), "[0-9a-f]{64}(\\.[a-z]{1,4}){0,3}".prop_map(String::into_bytes)];
    (backend, fields, name).prop_map(|(backend, fields, name)| {
        let head = format!("{backend}{fields}--");
        [head.as_bytes(), &name].concat()
    })
}

pub(crate) fn key() -> impl Strategy<Value = Key> {
    key_text().prop_filter_map("not a key", |text| Key::parse(&text).ok())
}
