//! UUIDs, keys and file names as text.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE};

/// Reads with and without padding, as other implementations may leave it out.
const ANY_PADDING: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Writes bytes as text: as they are, or in square brackets and base64 if they are no UTF-8 or look like that form.
pub fn encode_value(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if in_brackets(bytes).is_none() => text.to_owned(),
        _ => format!("[{}]", URL_SAFE.encode(bytes)),
    }
}

/// Reads what [`encode_value`] writes; `None` if brackets hold no base64, or the rest is no UTF-8.
pub fn decode_value(text: &[u8]) -> Option<Vec<u8>> {
    match in_brackets(text) {
        Some(encoded) => ANY_PADDING.decode(encoded).ok(),
        None => std::str::from_utf8(text).is_ok().then(|| text.to_vec()),
    }
}

fn in_brackets(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(b"[")?.strip_suffix(b"]")
}

/// Writes text so that it can stand in a path or a parameter of a URL: all but unreserved characters escaped.
pub fn percent_encode(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            out.push(char::from(*byte));
        } else {
            out.push('%');
            out.push_str(&crate::hex::encode(&[*byte]).to_ascii_uppercase());
        }
    }
    out
}

/// Undoes percent encoding. A `%` that two hex digits do not follow stands for itself.
pub fn percent_decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        let escaped = if *byte == b'%' { after.split_at_checked(2) } else { None };
        let decoded = escaped.and_then(|(digits, tail)| Some((crate::hex::decode::<1>(digits)?, tail)));
        if let Some(([value], tail)) = decoded {
            out.push(value);
            rest = tail;
        } else {
            out.push(*byte);
            rest = after;
        }
    }
    out
}
